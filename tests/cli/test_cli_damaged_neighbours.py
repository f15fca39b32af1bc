"""A neighbour in the results folder that is damaged, cannot be read or is no board is left out, and nothing falls."""

import json
import sys

import pytest

from harness.cli.earlier import earlier_runs
from harness.cli.effect import newest_effects
from harness.cli.timing_cost import round_seconds
from harness.record.plans import plan_hash
from harness.record.store import Store

PLAIN = {"dataset": {"name": "digits", "params": {}}, "tricks": []}
SMOOTH = {**PLAIN, "tricks": [{"name": "label-smoothing", "params": {}}]}


def lead_nowhere(path):
    if path.exists():
        path.rename(path.with_name(".kept"))
    path.symlink_to(path.name)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("place", ["trials", "timings", "plans", "plans/latest", "trials/mixup0.1-0"])
def test_a_neighbour_that_cannot_be_read_costs_no_other(made_results, tmp_path, place):
    made_results(tmp_path / "aa", (0, 1))
    made_results(tmp_path / "zz", (0, 1))
    (tmp_path / "zz" / "timings").mkdir()
    lead_nowhere(tmp_path / "zz" / place)
    lead_nowhere(tmp_path / "yy")
    found = list(earlier_runs(tmp_path))
    assert found[0].name == "aa" and len(found[0].records) == 4
    for run in found:  # what `harness plan` asks of each
        assert run.store.read({**run.plan, "trials": []}).timings == []


@pytest.mark.parametrize("text", [b"\xff", b"", b"a\0b"])
def test_a_neighbour_whose_latest_plan_has_no_name_is_left_out(made_results, tmp_path, text):
    made_results(tmp_path / "aa", (0, 1))
    made_results(tmp_path / "zz", (0, 1))
    (tmp_path / "zz" / "plans" / "latest").write_bytes(text)
    assert [run.name for run in earlier_runs(tmp_path)] == ["aa"]


@pytest.mark.parametrize("lacks", ["manifests", "baseline", "arms"])
def test_a_neighbour_whose_intact_plan_lacks_what_plans_have_is_left_out(made_results, tmp_path, lacks):
    made_results(tmp_path / "aa", (0, 1))
    made_results(tmp_path / "zz", (0, 1))
    store = Store(tmp_path / "zz")
    plan = {key: value for key, value in store.read_plan().items() if key != lacks}
    store.write_plan({**plan, "hash": plan_hash(plan)})
    assert [run.name for run in earlier_runs(tmp_path)] == ["aa"]


def test_a_results_folder_that_is_a_file_or_absent_has_no_earlier_runs(tmp_path):
    (tmp_path / "file").write_text("")
    assert [*earlier_runs(tmp_path / "file"), *earlier_runs(tmp_path / "none")] == []


@pytest.mark.parametrize("value", ["x", [1], 7, None])
def test_what_a_neighbours_record_refers_to_is_a_table_or_absent(made_results, tmp_path, value):
    made_results(tmp_path / "aa", (0,))
    [run] = earlier_runs(tmp_path)
    record = next(iter(run.records.values()))
    assert run.shared(record, "manifest")["dataset"] == "d"
    other = {"refs": {"manifest": run.store.share(value)}}
    assert run.shared(other, "manifest") is None is run.shared(record, "host")


@pytest.mark.parametrize("bad", ["yesterday", "", 7, [], {"at": 1}, "2026-01-01T00:00:00+00:00"])
def test_a_timing_without_its_times_takes_as_long_as_its_phases(bad):
    timing = {"status": "completed", "images_per_second": 10.0, "compute_images_per_second": 10.0}
    timing |= {"step_seconds": {"median": 0.1}, "seconds": {"build": 2.0, "steady": 4.0, "compute": 2.0}}
    timing |= {"started_at": "2026-01-01T00:00:00", "finished_at": bad}
    # Building stays; 4 s of 40 steps of 0.1 s are steady, and as many are compute alone.
    assert round_seconds(timing, 4.0) == pytest.approx(2.0 + 4.0 + 4.0)
    assert round_seconds({**timing, "seconds": 7}, 4.0) == pytest.approx(4.0 + 4.0)


def board(folder, rows, **more):
    folder.mkdir()
    (folder / "leaderboard.json").write_text(json.dumps({"suite": "s", "plan": "p", "rows": rows, **more}))


def row(arm, recipe, **more):
    whole = {"arm": arm, "recipe": recipe, "against": "plain", "baseline": arm == "plain", "difference": None}
    return {**whole, "verdict": None, "reason": "one replicate", **more}


ROWS = [row("plain", PLAIN), row("smooth", SMOOTH, difference={"mean": 1.0, "low": None, "high": None})]


def with_second(**more):
    return [ROWS[0], {**ROWS[1], **more}]


@pytest.mark.parametrize(
    "rows",
    [
        [1, None],
        "x",
        None,
        {"a": 1},
        [{}],
        with_second(recipe="x"),
        with_second(recipe={**PLAIN, "tricks": [1]}),
        with_second(difference="x"),
        with_second(difference={"mean": "x", "low": None, "high": None}),
        with_second(difference={"mean": 1.0, "low": [], "high": 2.0}),
        with_second(arm=5),
        with_second(cell="x"),
    ],
)
def test_a_board_that_is_none_tells_of_no_effect_and_hides_no_other(tmp_path, rows):
    board(tmp_path / "aa", ROWS)
    board(tmp_path / "zz", rows)
    [effect] = newest_effects(tmp_path, "trick", "label-smoothing")
    assert (effect["board"], effect["difference"]["mean"]) == (
        f"{tmp_path.as_posix()}/aa/leaderboard.json",
        1.0,
    )


def test_a_board_whose_plan_has_a_name_that_no_file_can_have_tells_of_no_effect(tmp_path):
    board(tmp_path / "zz", ROWS, plan="a\0b")
    assert newest_effects(tmp_path, "trick", "label-smoothing") == []
