"""What is measured beside accuracy, speed and peak memory; in a row only where some record holds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.board.select import ArmTrials, CountedRest, Record, amount_at, amounts_at, numbers_at, value_at
from harness.board.statistics import mean_if_any, median_if_any, median_of
from harness.record.packed import MOST

Json = dict[str, Any]

LEAK_EPOCHS = 20
"""The epochs over which a record tells how memory grew."""


def timed(rounds: Mapping[int, Record]) -> Json:
    """Return what an arm's timings hold of these, each the median over the rounds."""
    places = {
        "compute_images_per_second": ("compute_images_per_second",),
        "data_wait_share": ("data_wait_share",),
        "latency_p50_seconds": ("latency_seconds", "p50"),
        "latency_p99_seconds": ("latency_seconds", "p99"),
        "joules_per_image": ("energy", "joules_per_image"),
    }
    found = {name: amounts_at(rounds.values(), *keys) for name, keys in places.items()}
    told: Json = {name: median_of(values) for name, values in found.items() if values}
    costs = _augmentation_costs(rounds.values())
    return {**told, "augmentations": costs} if costs else told


def _augmentation_costs(timings: Iterable[Record]) -> list[Json]:
    """Return what each augmentation of an arm costs, the median over the rounds, in the order in which they act."""
    found: dict[tuple[str, str], list[Json]] = {}
    for timing in timings:
        costs = value_at(timing, "augmentations")
        for cost in costs if isinstance(costs, list) else ():
            if isinstance(cost, dict):
                found.setdefault((str(cost.get("label")), str(cost.get("placement"))), []).append(cost)
    names = ("step_share", "images_per_second_lost")  # differences of two times, so they may be below 0
    return [
        {
            "label": label.removeprefix("augmentation "),
            "placement": placement,
            "seconds_per_batch": median_if_any(amounts_at(costs, "seconds_per_batch")),
            **{name: median_if_any([x for x in numbers_at(costs, name) if abs(x) <= MOST]) for name in names},
        }
        for (label, placement), costs in found.items()
    ]


def trained(trials: ArmTrials, target: float | None) -> Json:
    """Return what an arm's records hold of these: its loaders, and its time to the target that the plan sets."""
    found: Json = {}
    modes: Counter[Any] = Counter()
    for rest, count in trials.good_rests:
        modes[value_at(rest, "loader", "mode")] += count
    if loaders := {str(mode): number for mode, number in modes.items() if mode is not None}:
        found["loaders"] = dict(sorted(loaders.items()))
    if target is not None:
        reached = [one.rest["time_to_target"] for one in trials.good.values()]
        found["time_to_target"] = {
            "top1": target,
            "seconds": median_if_any(amounts_at(reached, "seconds")),
            "epoch": median_if_any(amounts_at(reached, "epoch")),
            "reached": len(amounts_at(reached, "seconds")),
            "replicates": len(trials.counted),
        }
    return found


def stamps_of(trials: ArmTrials, rounds: Mapping[int, Record]) -> list[str]:
    """Return what a reader has to know of how an arm was trained and timed."""
    stamps = []
    bound = [timing for timing in rounds.values() if timing.get("input_bound") is True]
    if bound:
        share = median_of(amounts_at(bound, "data_wait_share") or [0.0])
        stamps.append(
            f"input-bound: data is waited for in {share:.0%} of a step, in {len(bound)} of {len(rounds)} rounds"
        )
    rests = trials.good_rests
    leaks = [leak for rest, count in rests if isinstance(leak := rest["leak"], dict) for _ in range(count)]
    if leaks:
        worst = max(leaks, key=lambda leak: amount_at(leak, "growth_share") or 0.0)
        stamps.append(
            f"leak: {worst.get('kind')} memory grows by {amount_at(worst, 'growth_share') or 0.0:.1%} in "
            f"{LEAK_EPOCHS} epochs, in {len(leaks)} of {len(trials.good)} replicates"
        )
    together = [
        number
        for rest, count in rests
        if (number := amount_at(rest["mode"], "together") or 0.0) > 1
        for _ in range(count)
    ]
    if together:
        at_once = " or ".join(f"{number:g}" for number in sorted(set(together)))
        stamps.append(
            f"together: {len(together)} of {len(trials.good)} replicates were trained {at_once} at once, "
            "in one process"
        )
    return stamps


def gradient_norms_of(rests: Iterable[CountedRest]) -> dict[str, list[float | None]]:
    """Return by layer its gradient norm in each epoch, the mean over replicates; empty where none holds any."""
    found: dict[str, list[list[Any]]] = {}
    for rest, count in rests:
        norms = rest["gradient_norms"]
        for layer, curve in norms.items() if isinstance(norms, dict) else ():
            if isinstance(curve, list):
                found.setdefault(str(layer), []).extend([curve] * count)
    return {layer: _by_epoch(curves) for layer, curves in found.items()}


def _by_epoch(curves: Sequence[Sequence[Any]]) -> list[float | None]:
    epochs = range(max(map(len, curves), default=0))
    columns = ([{"norm": curve[epoch]} for curve in curves if epoch < len(curve)] for epoch in epochs)
    return [mean_if_any(numbers_at(column, "norm")) for column in columns]
