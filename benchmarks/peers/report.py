"""From what was measured to the table: medians over rounds, ratios within a round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Measured = dict[str, Any]
Cell = tuple[str, str, str, int]

NAMES = {
    "hand_written": "hand-written loop",
    "harness_trial": "this harness",
    "timm_loop": "timm",
    "lightning_trainer": "Lightning Trainer",
    "lightning_fabric": "Lightning Fabric",
    "accelerate_loop": "Accelerate",
    "transformers_trainer": "transformers Trainer",
}
LOADINGS = {
    "resident": "in memory, by index",
    "tensors": "TensorDataset, DataLoader",
    "pictures": "PIL, torchvision, DataLoader",
}
MODELS = ("small-cnn", "resnet-8")
LIKE = 1.3
"""The most that losses afterwards may differ by, as a ratio of medians, between two that train one model."""

STEADY = 1.1
"""The most that the reference may differ by between rounds, before the table says that the machine was busy."""


def summarise(rounds: Sequence[Sequence[Measured]]) -> list[Measured]:
    """Return one entry a cell: medians, and the ratio to the hand-written loop in memory with its range."""
    by_round = [{cell_of(entry): entry for entry in measured} for measured in rounds]
    summary = []
    for cell in sorted(by_round[0], key=_place):
        peer, model, loading, workers = cell
        mine = [found[cell] for found in by_round]
        reference = [found["hand_written", model, "resident", 0] for found in by_round]
        ratios = [
            m["images_per_second"] / r["images_per_second"] for m, r in zip(mine, reference, strict=True)
        ]
        cpu = [
            r["cpu_seconds_per_step"] / m["cpu_seconds_per_step"]
            for m, r in zip(mine, reference, strict=True)
        ]
        speeds = [entry["images_per_second"] for entry in mine]
        summary.append(
            {
                "peer": peer,
                "model": model,
                "loading": loading,
                "workers": workers,
                "rounds": len(mine),
                "images_per_second": _spread(speeds),
                "ratio": _spread(ratios),
                "cpu_ratio": _spread(cpu),
                "cpu_seconds_per_step": statistics.median(entry["cpu_seconds_per_step"] for entry in mine),
                "loss_afterwards": statistics.median(entry["loss_afterwards"] for entry in mine),
            }
        )
    return summary


def cell_of(entry: Measured) -> Cell:
    """Return what identifies a cell."""
    return entry["peer"], entry["model"], entry["loading"], entry["workers"]


def findings(rounds: Sequence[Sequence[Measured]]) -> list[Measured]:
    """Return what is wanted of the run, each with its figure.

    `met` is judged by images per second, and is None where that was not measured; `by_cpu` is the same ratio of
    CPU times, where it means the same.
    """
    by_round = [{cell_of(entry): entry for entry in measured} for measured in rounds]

    def ratio(quantity: str, ours: Cell, other: Cell) -> float | None:
        """Return the median over rounds of ours over the other's."""
        if ours not in by_round[0] or other not in by_round[0]:
            return None
        return statistics.median(found[ours][quantity] / found[other][quantity] for found in by_round)

    wanted = [
        ("small-cnn", "resident", 0, "hand-written in memory", 0.97),
        ("resnet-8", "resident", 0, "hand-written in memory", 0.99),
        ("small-cnn", "pictures", 2, "usual PIL loader with 2 workers", 5.0),
        ("small-cnn", "pictures", 0, "usual PIL loader with 0 workers", 5.0),
    ]
    found: list[Measured] = []
    for model, loading, workers, text, least in wanted:
        cells = ("harness_trial", model, "resident", 0), ("hand_written", model, loading, workers)
        value = ratio("images_per_second", *cells)
        cpu = ratio("cpu_seconds_per_step", *cells) if loading == "resident" else None
        found.append(
            {
                "what": f"{model}: harness / {text}, at least",
                "value": value,
                "by_cpu": None if cpu is None else 1 / cpu,
                "wanted": least,
                "met": None if value is None else value >= least,
            }
        )
    for model in MODELS:
        losses = [entry["loss_afterwards"] for entry in summarise(rounds) if entry["model"] == model]
        value = max(losses) / min(losses)
        what = f"{model}: largest / smallest loss afterwards, at most"
        found.append({"what": what, "value": value, "by_cpu": None, "wanted": LIKE, "met": value <= LIKE})
    return found


def markdown(results: Measured) -> str:
    """Return results.md."""
    host, rounds = results["host"], results["rounds"]
    lines = [
        "# Peers",
        "",
        f"{results['data']}; batches of 128, float32, one thread, SGD with momentum 0.9, half a cosine; padded crop",
        f"and mirroring. {len(rounds)} rounds in random order, a fresh process for each peer in each. Median (least to",
        "most) over rounds; ratios are taken within a round, to the hand-written loop in memory: of images per second,",
        "and of CPU time (its over theirs, workers included), which other processes on the machine disturb less.",
    ]
    drift = max(
        entry["images_per_second"]["most"] / entry["images_per_second"]["least"]
        for entry in results["summary"]
        if (entry["peer"], entry["loading"]) == ("hand_written", "resident")
    )
    if drift > STEADY:
        lines += [
            "",
            f"**The machine was not quiet**: the hand-written loop itself was up to {drift:.1f} times as fast in one",
            "round as in another. Ratios of this run are no claim, met or missed; run it again.",
        ]
    for model in dict.fromkeys(entry["model"] for entry in results["summary"]):
        lines += [
            "",
            f"## {model}",
            "",
            "| loop | loading | images/s | ratio | CPU ms a step | CPU ratio | loss afterwards |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
            *(_row(entry) for entry in results["summary"] if entry["model"] == model),
        ]
    lines += [
        "",
        "## Wanted",
        "",
        "| what | measured | by CPU time | wanted | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for finding in results["findings"]:
        value = "not measured" if finding["value"] is None else f"{finding['value']:.3f}"
        verdict = {True: "met", False: "missed", None: ""}[finding["met"]]
        by_cpu = "" if finding["by_cpu"] is None else f"{finding['by_cpu']:.3f}"
        lines.append(f"| {finding['what']} | {value} | {by_cpu} | {finding['wanted']} | {verdict} |")
    lines += ["", "## Cannot be compared", ""]
    lines += [f"* {peer}. The resolver: {words}" for peer, words in results["refused"].items()]
    commit = results["code"]["commit"] or "no checkout"
    lines += [
        "",
        "## Made by",
        "",
        f"`{results['command']}`, harness {commit[:12]}{' with changes' if results['code']['dirty'] else ''}, on "
        f"{host['accuracy']['cpu']}, {host['speed']['usable_cores']} cores, Python {host['accuracy']['python']}.",
        ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + ".",
        "",
    ]
    return "\n".join(lines)


def _row(entry: Measured) -> str:
    speed, ratio, cpu = entry["images_per_second"], entry["ratio"], entry["cpu_ratio"]
    loading = LOADINGS[entry["loading"]]
    if entry["loading"] == "pictures":
        loading += f", {entry['workers']} workers"
    return (
        f"| {NAMES.get(entry['peer'], entry['peer'])} | {loading} "
        f"| {speed['median']:,.0f} ({speed['least']:,.0f} to {speed['most']:,.0f}) "
        f"| {ratio['median']:.3f} ({ratio['least']:.3f} to {ratio['most']:.3f}) "
        f"| {1e3 * entry['cpu_seconds_per_step']:.2f} "
        f"| {cpu['median']:.3f} ({cpu['least']:.3f} to {cpu['most']:.3f}) | {entry['loss_afterwards']:.3f} |"
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _place(cell: Cell) -> tuple[int, int, int, int]:
    peer, model, loading, workers = cell
    return MODELS.index(model), list(LOADINGS).index(loading), list(NAMES).index(peer), -workers
