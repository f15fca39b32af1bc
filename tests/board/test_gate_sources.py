"""Two result folders, and two files of pytest-benchmark, as the gate reads them."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.board.gate import GateError, NothingMeasured, exit_code, judge
from harness.board.gate_render import render_text
from harness.board.gate_sources import read_stored
from harness.record.plans import plan_hash
from harness.record.record import seal
from harness.record.store import Store

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def write_folder(folder: Path, inputs: Any, *, seconds: float = 1.0, points: float = 0.0) -> Path:
    """Write a suite's plan, trials and timings as a run does: steps of 50 ms x `seconds`, top-1 plus `points`."""
    store = Store(folder)
    for entry in (*inputs.plan["trials"], *inputs.records):
        key = "id" if "id" in entry else "trial"
        entry[key] = entry[key].replace("/", "-")
    plan = {**inputs.plan, "hash": plan_hash(inputs.plan)}
    store.write_plan(plan)
    refs = {name: store.share(value) for name, value in inputs.shared.items()}
    refs |= {"manifest": store.share(plan["manifests"]["m"])}
    recipes = {arm["name"]: store.share(arm["recipe"]) for arm in plan["arms"]}
    named = ("host", "code", "manifest")
    for record in inputs.records:
        made = {"recipe": recipes[record["arm"]], **{name: refs[name] for name in named}}
        record = {**copy.deepcopy(record), "refs": made, "plan": plan["hash"]}
        if record["results"]["test"]:
            record["results"]["test"]["top1"] += points
        store.write_trial(seal(record))
    for timing in inputs.timings:
        timing = {**copy.deepcopy(timing), "schema": 1, "plan": plan["hash"], "suite": plan["suite"]}
        timing["refs"] = {"host": refs["host"], "code": refs["code"]}
        if timing["status"] == "completed":
            timing["step_seconds"]["median"] = seconds * (0.05 + 1e-4 * (timing["round"] % 5))
        store.write_timing(seal(timing))
    return folder


def rows_of(samples: Json) -> dict[str, Json]:
    return {row["name"]: row for row in judge(samples)["rows"]}


def test_a_folder_against_itself_is_fine_in_all_three_kinds(
    inputs: Callable[..., Any], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "a", inputs({"plain": 0.0, "sam": 0.5}, rounds=8))
    samples = read_stored(folder, folder)
    assert samples["advisory"] is True
    assert samples["candidate"]["commit"] == "7df0c0d1"
    report = judge(samples)
    assert exit_code(report) == 0
    assert {row["name"]: row["base_count"] for row in report["rows"]} == {
        "plain/step_seconds": 8,
        "plain/peak_resident_bytes": 8,
        "plain/top1": 10,
        "sam/step_seconds": 8,
        "sam/peak_resident_bytes": 8,
        "sam/top1": 10,
    }


def test_a_slower_and_less_accurate_candidate_is_found(inputs: Callable[..., Any], tmp_path: Path) -> None:
    made = inputs({"plain": 0.0}, rounds=12)
    base = write_folder(tmp_path / "base", made)
    candidate = write_folder(tmp_path / "candidate", made, seconds=1.5, points=-1.0)
    report = judge(read_stored(base, candidate))
    verdicts = {row["name"]: row["verdict"] for row in report["rows"]}
    assert verdicts == {
        "plain/step_seconds": "regression",
        "plain/peak_resident_bytes": "fine",
        "plain/top1": "regression",
    }
    assert exit_code(report) == 1
    assert report["advisory"] is True


def test_arms_are_matched_by_name_and_the_others_listed(inputs: Callable[..., Any], tmp_path: Path) -> None:
    base = write_folder(tmp_path / "base", inputs({"plain": 0.0, "old": 0.1}, rounds=8))
    candidate = write_folder(tmp_path / "candidate", inputs({"plain": 0.0, "new": 0.1}, rounds=8))
    report = judge(read_stored(base, candidate))
    assert report["vanished"] == ["old/peak_resident_bytes", "old/step_seconds", "old/top1"]
    assert report["new"] == ["new/peak_resident_bytes", "new/step_seconds", "new/top1"]
    assert exit_code(report) == 3


def test_other_recipes_seeds_and_hosts_are_not_comparable(inputs: Callable[..., Any], tmp_path: Path) -> None:
    base = write_folder(tmp_path / "base", inputs({"plain": 0.0}, rounds=8))
    other = inputs({"plain": 0.0}, rounds=8)
    other.plan["arms"][0]["recipe"]["batch_size"] = 64
    other.plan["seed"] = 5
    host = other.shared["host"]
    other.shared["host"] = {**host, "speed": {**host["speed"], "cores": 64}}
    rows = rows_of(read_stored(base, write_folder(tmp_path / "candidate", other)))
    assert rows["plain/step_seconds"]["reason"] == "the sides differ in recipe.batch_size, speed.cores"
    assert rows["plain/top1"]["reason"] == "the sides differ in recipe.batch_size, seed"
    assert {row["verdict"] for row in rows.values()} == {"not comparable"}


def test_failures_of_the_candidate_fail_and_those_of_the_base_leave_their_replicate_out(
    inputs: Callable[..., Any], failing: Callable[..., None], tmp_path: Path
) -> None:
    good, bad = inputs({"plain": 0.0}, rounds=8), inputs({"plain": 0.0}, rounds=8)
    failing(bad.records[2], "diverged")
    bad.timings[3] |= {"status": "oom", "step_seconds": {"median": 1.0}}
    whole, broken = write_folder(tmp_path / "whole", good), write_folder(tmp_path / "broken", bad)
    report = judge(read_stored(whole, broken))
    assert exit_code(report) == 5
    reasons = {row["name"]: row["reason"] for row in report["rows"]}
    assert reasons["plain/top1"] == "candidate replicate 2: diverged"
    assert reasons["plain/step_seconds"] == "candidate round 3: oom"
    repaired = judge(read_stored(broken, whole))
    assert exit_code(repaired) == 0
    assert next(row for row in repaired["rows"] if row["name"] == "plain/top1")["base_count"] == 9


def test_damaged_files_are_counted(inputs: Callable[..., Any], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", inputs({"plain": 0.0}, rounds=8))
    next(folder.glob("timings/*/0-*.json")).write_text("{")
    report = judge(read_stored(folder, folder))
    assert report["notes"][0] == "base: set aside, 1 in all: no JSON (truncated?) (1)"
    assert report["rows"][1]["base_count"] == 7


def test_an_empty_folder_has_measured_nothing(inputs: Callable[..., Any], tmp_path: Path) -> None:
    full = write_folder(tmp_path / "full", inputs({"plain": 0.0}, rounds=8))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingMeasured, match="empty: nothing measured here") as refused:
        read_stored(full, tmp_path / "empty")
    assert refused.value.exit_code == 3
    planned = Store(tmp_path / "planned")
    plan = inputs({"plain": 0.0}).plan
    planned.write_plan({**plan, "hash": plan_hash(plan)})
    with pytest.raises(NothingMeasured, match="no intact trial or timing"):
        read_stored(tmp_path / "planned", full)


def test_what_does_not_exist_or_match_is_a_mistake_of_usage(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text("{}")
    for base, candidate, message in (
        (tmp_path, tmp_path / "nowhere", "no such file or folder"),
        (tmp_path, tmp_path / "file.json", "two of a kind"),
        (tmp_path / "file.json", tmp_path / "file.json", "no list `benchmarks`"),
    ):
        with pytest.raises(GateError, match=message) as refused:
            read_stored(base, candidate)
        assert refused.value.exit_code == 2


def benchmark_file(path: Path, benchmarks: dict[str, Any], cores: int = 2, **extra: Any) -> Path:
    machine = {
        "node": "ci",
        "machine": "x86_64",
        "system": "Linux",
        "release": "6.1",
        "python_version": "3.11.7",
        "cpu": {"brand_raw": "A CPU", "count": cores},
    }
    entries = [
        {"name": name, "fullname": f"test_file.py::{name}", "extra_info": extra, "stats": {"data": data}}
        for name, data in benchmarks.items()
    ]
    path.write_text(
        json.dumps({"machine_info": machine, "commit_info": {"id": "abc"}, "benchmarks": entries})
    )
    return path


def test_pytest_benchmark_files_are_compared(tmp_path: Path) -> None:
    data = [1.0 + 0.001 * (index % 7) for index in range(30)]
    base = benchmark_file(tmp_path / "base.json", {"a": data, "b": data, "gone": data})
    candidate = benchmark_file(tmp_path / "c.json", {"a": data, "b": [1.2 * value for value in data]})
    report = judge(read_stored(base, candidate))
    assert report["advisory"] is True
    assert report["base"]["commit"] == "abc"
    assert {row["name"]: row["verdict"] for row in report["rows"]} == {
        "test_file.py::a": "fine",
        "test_file.py::b": "regression",
        "test_file.py::gone": "not measured",
    }
    assert report["vanished"] == ["test_file.py::gone"]
    assert exit_code(report) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ([1.0] * 8 + [math.nan], "sample 9 is nan"),
        ([], "sample 1 is absent"),
        (None, "sample 1 is absent"),
        ([1.0] * 3, "3 samples a side, and 7"),
    ],
)
def test_benchmarks_without_samples_never_pass(data: Any, reason: str, tmp_path: Path) -> None:
    base = benchmark_file(tmp_path / "base.json", {"a": [1.0 + 0.001 * index for index in range(9)]})
    report = judge(read_stored(base, benchmark_file(tmp_path / "c.json", {"a": data})))
    assert exit_code(report) == 3
    assert reason in report["rows"][0]["reason"]


def test_another_runner_is_not_comparable(tmp_path: Path) -> None:
    data = [1.0 + 0.001 * index for index in range(9)]
    base = benchmark_file(tmp_path / "base.json", {"a": data})
    report = judge(read_stored(base, benchmark_file(tmp_path / "c.json", {"a": data}, cores=4)))
    assert exit_code(report) == 3
    assert "speed.cores" in report["rows"][0]["reason"]


def test_lists_of_seconds_and_bytes_in_extra_info_are_measurements(tmp_path: Path) -> None:
    data = [1.0 + 0.001 * index for index in range(9)]
    sizes = [1e9 + index for index in range(9)]
    path = benchmark_file(
        tmp_path / "a.json", {"a": data}, start_seconds=data, peak_bytes=sizes, ratio=[1.0], first_seconds=2.0
    )
    rows = rows_of(read_stored(path, path))
    assert {name: row["kind"] for name, row in rows.items()} == {
        "test_file.py::a": "time",
        "test_file.py::a/peak_bytes": "memory",
        "test_file.py::a/start_seconds": "time",
    }


@pytest.mark.parametrize(
    "extra_info", [[1.0], "text", None, {"x_seconds": "text", "y_seconds": [[1.0]] * 9, "z": [1.0]}]
)
def test_what_else_a_benchmark_file_holds_is_no_crash(extra_info: Any, tmp_path: Path) -> None:
    path = benchmark_file(tmp_path / "a.json", {"a": [1.0 + 0.001 * index for index in range(9)]})
    file = json.loads(path.read_text())
    file["benchmarks"][0]["extra_info"] = extra_info
    file["commit_info"], file["machine_info"]["cpu"] = {"id": 7}, "none"
    path.write_text(json.dumps(file))
    report = judge(read_stored(path, path))
    assert "(7)" in render_text(report)
    assert exit_code(report) == (3 if isinstance(extra_info, dict) else 0)


def test_a_benchmark_that_is_there_twice_and_a_file_that_is_too_deep_are_refused(tmp_path: Path) -> None:
    path = benchmark_file(tmp_path / "a.json", {"a": [1.0] * 9})
    file = json.loads(path.read_text())
    path.write_text(json.dumps({**file, "benchmarks": file["benchmarks"] * 2}))
    with pytest.raises(GateError, match=r"twice: test_file\.py::a"):
        read_stored(path, path)
    path.write_text("[" * 100_000)
    with pytest.raises(GateError, match="no JSON"):
        read_stored(path, path)


def test_a_file_without_benchmarks_has_measured_nothing(tmp_path: Path) -> None:
    path = benchmark_file(tmp_path / "a.json", {})
    with pytest.raises(NothingMeasured, match="empty"):
        read_stored(path, path)
    path.write_text("not json")
    with pytest.raises(GateError, match=r"a\.json: no JSON"):
        read_stored(path, path)
