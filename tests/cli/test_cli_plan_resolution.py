"""`harness plan` on records that are written here by hand: what it makes of them is arithmetic."""

import math
from pathlib import Path
from typing import Any

import pytest
from scipy import optimize, stats

from harness.cli.earlier import distance, nearest_spread
from harness.cli.forecast import costs_of, evaluated_samples, memory_of, total_hours, training_samples
from harness.cli.resolution import resolution_lines, resolution_of
from harness.record.record import trial_record
from harness.record.store import Store
from harness.suite.expand import expand
from harness.suite.load import load
from harness.suite.plan import Plan

Json = dict[str, Any]

SUITE = """
schema = 1
name = "{name}"
baseline = "plain"
replicates = {replicates}
{top}
[budget]
epochs = {epochs}
[recipe]
dataset = {{ name = "digits", validation = 0.1 }}
backbone = {{ name = "simple-cnn", width = {width} }}
optimizer = {{ name = "sgd", lr = 0.1 }}
batch_size = 32
[arms.plain]
[arms.smooth]
tricks = ["label-smoothing"]
[arms.sam]
tricks = ["sam"]
"""
MANIFEST = {
    "hash": "m" * 32,
    "classes": ["0"],
    "modalities": {"image": {"shape": [1, 8, 8]}},
    "splits": {"train": {"count": 1000}, "test": {"count": 500}},
}


def planned(
    tmp_path: Path,
    name: str,
    *,
    replicates: int = 10,
    epochs: int = 2,
    width: int = 8,
    top: str = "margin = 0.1",
) -> Plan:
    path = tmp_path / f"{name}.toml"
    path.write_text(SUITE.format(name=name, replicates=replicates, epochs=epochs, width=width, top=top))
    suite = load(path)
    return expand(suite, dict.fromkeys(suite.arms, MANIFEST))


def record(
    plan: Plan, arm: str, replicate: int, top1: float, seconds: float = 11.0, memory: int = 10**8
) -> Json:
    trial = next(t.id for t in plan.trials if (t.arm, t.replicate) == (arm, replicate))
    heading = {"protocol": 1, "suite": plan.suite, "plan": plan.hash, "trial": trial, "arm": arm}
    outcome = {
        "status": "completed",
        "results": {"test": {"top1": top1}},
        "seconds": {"total": seconds, "build": 0.5, "compile": None, "warm_up": 0.5},
        "budget": {"samples": 1800},
        "memory": {
            "peak_tree_bytes": memory,
            "peak_resident_bytes": 2 * memory,
            "peak_allocated_bytes": None,
        },
    }
    return trial_record(
        outcome,
        heading={**heading, "replicate": replicate, "attempt": 0},
        refs={},
        started_at="2026-01-01T00:00:00+00:00",
        finished_at="2026-01-01T00:00:01+00:00",
    )


def by_trial(*records: Json) -> dict[str, Json]:
    return {one["trial"]: one for one in records}


def stored(results: Path, plan: Plan, *records: Json) -> None:
    store = Store(results / plan.suite)
    store.write_plan(plan.to_json())
    for one in records:
        store.write_trial(one)


def spread_records(plan: Plan, deviation: float) -> list[Json]:
    """Four replicates in which smooth lies 1 ± deviation above plain, whatever plain's own luck."""
    found = []
    for replicate, (luck, sign) in enumerate([(0.0, 1), (3.0, -1), (-2.0, 1), (1.0, -1)]):
        found.append(record(plan, "plain", replicate, 90 + luck))
        found.append(record(plan, "smooth", replicate, 91 + luck + sign * deviation))
    return found


def test_the_deviation_is_that_of_paired_differences(tmp_path: Path) -> None:
    plan = planned(tmp_path, "toy")
    spread = nearest_spread(plan, by_trial(*spread_records(plan, 0.3)), tmp_path / "results")
    assert spread is not None and spread.pairs == 4 and "these arms" in spread.source
    assert spread.deviation == pytest.approx(0.3 * math.sqrt(4 / 3))
    # A second arm is pooled about a mean of its own: (4 · 0.3² + 4 · 0.5²) / (8 - 2).
    sam = [
        record(plan, "sam", r, 80 + luck + s * 0.5)
        for r, (luck, s) in enumerate([(0, 1), (3, -1), (-2, 1), (1, -1)])
    ]
    both = nearest_spread(plan, by_trial(*spread_records(plan, 0.3), *sam), tmp_path / "results")
    assert both is not None and both.deviation == pytest.approx(math.sqrt(4 * (0.09 + 0.25) / 6))


def test_without_records_of_its_own_the_nearest_suite_tells(tmp_path: Path) -> None:
    results = tmp_path / "results"
    plan = planned(tmp_path, "toy")
    for name, width, deviation in (("far", 16, 2.0), ("near", 8, 0.7)):
        other = planned(tmp_path, name, width=width, epochs=3)
        stored(results, other, *spread_records(other, deviation))
    (results / "no-suite").mkdir()
    spread = nearest_spread(plan, {}, results)
    assert spread is not None and spread.deviation == pytest.approx(0.7 * math.sqrt(4 / 3))
    assert spread.source == "the nearest records: suite near (another budget)"
    assert nearest_spread(plan, {}, tmp_path / "nothing") is None
    recipe = plan.arm("plain").recipe
    assert distance(recipe, recipe) == 0 < distance(recipe, {**recipe, "tricks": ["x"]})


def test_the_smallest_difference_and_what_others_take(tmp_path: Path) -> None:
    plan = planned(tmp_path, "toy", replicates=40)
    deviation = 0.3 * math.sqrt(4 / 3)
    told = resolution_of(plan, by_trial(*spread_records(plan, 0.3)), tmp_path, 0.3)
    assert told is not None and told["family"] == 2 and told["needed_replicates"] == 7

    def power(n: int, effect: float) -> float:
        """Return the noncentral t's, at alpha / 2 arms; the margin of 0.1 lies far below."""
        return float(stats.nct.sf(stats.t.isf(0.0125, n - 1), n - 1, effect / deviation * math.sqrt(n)))

    expected = optimize.brentq(lambda effect: power(40, effect) - 0.8, 0.01, 5)
    assert told["points"] == pytest.approx(expected, rel=1e-3)
    n = told["wished"]["replicates"]
    assert power(n, 0.3) >= 0.79 and power(n - 2, 0.3) < 0.8
    assert told["equal"]["margin_points"] == 0.1 and told["equal"]["replicates"] > 100
    assert told["non_inferior"]["margin_points"] == 0.2
    assert told["equal"]["replicates"] > told["non_inferior"]["replicates"] > told["wished"]["replicates"]
    lines = "\n".join(resolution_lines(told))
    assert f"to resolve 0.3 points: {n} replicates" in lines and "4 pairs" in lines


def test_what_is_not_known_is_said_and_is_no_number(tmp_path: Path) -> None:
    told = resolution_of(planned(tmp_path, "toy"), {}, tmp_path / "none", 0.5)
    assert told is not None and told["points"] is None and told["deviation_points"] is None
    assert told["in_deviations"] == pytest.approx(1.13, abs=0.08)  # family 2, n = 10
    assert told["wished"]["replicates"] is None and "unknown" in told["wished"]["reason"]
    assert "standard deviations" in resolution_lines(told)[0]


def test_a_plan_below_the_floor_resolves_nothing(tmp_path: Path) -> None:
    plan = planned(tmp_path, "toy", replicates=5)
    told = resolution_of(plan, by_trial(*spread_records(plan, 0.3)), tmp_path, 0.1)
    assert told is not None and told["points"] is None and told["in_deviations"] is None
    assert "resolves nothing: 5 replicates, and it takes 7" in resolution_lines(told)[0]
    assert "no more than the margin" in told["wished"]["reason"]
    assert "set replicates = 7, or compare 0" not in plan.verdicts_reason
    assert plan.verdicts_reason.endswith("take at least 7; set replicates = 7")


def test_hours_and_memory_of_own_records(tmp_path: Path) -> None:
    plan = planned(tmp_path, "toy")
    records = by_trial(record(plan, "plain", 0, 90.0, 11.0), record(plan, "plain", 1, 90.0, 13.0, 3 * 10**8))
    costs = costs_of(plan, records, tmp_path / "none")
    assert costs["plain"].seconds == 12.0 and costs["plain"].source == "records"
    # smooth has the same backbone: its trials take as long, for they see as many samples.
    assert costs["smooth"].seconds == pytest.approx(12.0) and costs["smooth"].source == "like"
    assert memory_of(costs) == {"host_bytes": 3 * 10**8, "device_bytes": None}
    hours, unknown = total_hours(costs, {"plain": 8, "smooth": 10, "sam": 0}, 2)
    assert hours == pytest.approx(18 * 12 / 2 / 3600) and unknown == []
    assert total_hours({"plain": costs["plain"]}, {"plain": 1, "sam": 3}, 1) == (12 / 3600, ["sam"])
    assert total_hours({}, {"plain": 1}, 1) == (None, ["plain"])


def test_hours_of_another_budget_go_with_the_samples(tmp_path: Path) -> None:
    results = tmp_path / "results"
    other = planned(tmp_path, "short")
    stored(results, other, record(other, "plain", 0, 90.0, 11.0))
    plan = planned(tmp_path, "long", epochs=20)
    assert training_samples(plan, plan.arm("plain")) == 20 * 900
    assert evaluated_samples(plan, plan.arm("plain")) == 500 + 20 * 100
    cost = costs_of(plan, {}, results)["plain"]
    # A second of building stays; ten seconds for 1,800 samples become a hundred.
    assert cost.seconds == pytest.approx(1 + 100) and cost.source == "like" and "suite short" in cost.told
    assert costs_of(planned(tmp_path, "wide", width=9), {}, results) == {}  # another backbone tells nothing


def test_a_recipe_is_nearer_the_fewer_entries_of_a_list_differ() -> None:
    moved, mixed = {"name": "translate", "params": {}}, {"name": "mixup", "params": {}}
    wanted = {"augmentations": [moved], "batch_size": 32}
    plain, mixup = ({**wanted, "augmentations": one} for one in ([], [mixed]))
    assert (
        0 < distance(wanted, plain) < distance(wanted, mixup) < distance(wanted, {**mixup, "batch_size": 64})
    )
    assert distance({"augmentations": [moved, mixed]}, {"augmentations": [mixed, moved]}) == 1


def test_a_record_whose_parts_take_longer_than_the_whole_costs_no_less_than_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results"
    other = planned(tmp_path, "short")
    stored(results, other, record(other, "plain", 0, 90.0, 0.8))  # of which it was built and warmed up in 1 s
    assert costs_of(planned(tmp_path, "long", epochs=20), {}, results)["plain"].seconds == pytest.approx(0.8)


def test_the_machine_of_earlier_records_is_told_where_it_is_another(tmp_path: Path) -> None:
    from harness.record.fingerprint import host
    from harness.record.record import seal

    plan = planned(tmp_path, "long", epochs=20)
    for name, is_here in (("here", True), ("there", False)):
        results = tmp_path / name
        other = planned(tmp_path, "short")
        machine = {**host(), "speed": {**host()["speed"], **({} if is_here else {"cores": 4096})}}
        refs = {"host": Store(results / "short").share(machine)}
        stored(results, other, seal({**record(other, "plain", 0, 90.0), "refs": refs}))
        assert ("on another machine" in costs_of(plan, {}, results)["plain"].told) is not is_here


def test_of_like_arms_the_nearest_recipe_tells(tmp_path: Path) -> None:
    plan = planned(tmp_path, "toy")
    results = tmp_path / "results"
    for name, epochs, seconds in (("far", 7, 70.0), ("near", 2, 21.0)):
        other = planned(tmp_path, name, epochs=epochs)
        stored(results, other, record(other, "plain", 0, 90.0, seconds))
    cost = costs_of(plan, {}, results)["plain"]
    assert "suite near" in cost.told and cost.seconds == pytest.approx(21.0)


def test_what_is_compiled_and_built_is_not_scaled_and_the_whole_process_tree_counts(tmp_path: Path) -> None:
    from harness.record.record import seal

    results, other = tmp_path / "results", planned(tmp_path, "short")
    one = record(other, "plain", 0, 90.0, 41.0)
    one["seconds"] = {"total": 41.0, "build": 0.5, "compile": 30.0, "warm_up": 0.5}
    stored(results, other, seal(one))
    cost = costs_of(planned(tmp_path, "long", epochs=20), {}, results)["plain"]
    assert cost.seconds == pytest.approx(31 + 100) and cost.host_bytes == 10**8
