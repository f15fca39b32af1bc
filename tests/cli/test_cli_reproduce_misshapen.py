"""What a record, or what it refers to, holds of another type than harness writes is absent for `harness reproduce`."""

import shutil
from pathlib import Path

import orjson
import pytest

from harness.board.reproduce import ENVIRONMENT
from harness.cli.reproducing import _folders, _lines, _told
from harness.record.record import canonical, measured_in, seal
from harness.record.reproduced import compare_attempts, differing_environment
from harness.record.store import Store

REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "speed"
NO_TABLES = ["x", [], [1], 7, True]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Path(shutil.copytree(REFERENCE, tmp_path_factory.mktemp("reproduce") / "speed"))


@pytest.fixture
def rewrite(folder):
    """Return a function that changes a trial's record, or what it refers to, and gives what is told of it."""
    path = sorted((folder / "trials").iterdir())[0] / "0.json"
    before = path.read_bytes()
    store = Store(folder)

    def told(change=None, **shared):
        record = orjson.loads(before)
        record["refs"] |= {name: store.share(value) for name, value in shared.items()}
        path.write_bytes(canonical(seal({**record, **(change or {})})))
        known, _ = _told(record["trial"], [store])
        return known, list(_lines(known))

    yield told
    path.write_bytes(before)


@pytest.mark.parametrize("bad", NO_TABLES)
@pytest.mark.parametrize("name", ["host", "code", "session", "recipe"])
def test_a_shared_value_that_is_no_table_is_absent(rewrite, name, bad):
    whole, _ = rewrite()
    told, lines = rewrite(**{name: bad})
    assert told["host"] == (None if name == "host" else whole["host"])
    assert lines[3] == rewrite()[1][3]  # the recipe is the plan's
    assert any("an unknown CPU" in line for line in lines) is (name == "host")
    assert (f"git checkout {whole['commit']}" in lines and ENVIRONMENT in lines) is (name != "code")
    assert (whole["command"] in lines) is (name != "session")


@pytest.mark.parametrize("bad", NO_TABLES)
def test_what_lies_deeper_and_is_of_another_type_is_absent(rewrite, bad):
    no_text = 7 if bad == "x" else bad
    session = {"environment": bad, "command": no_text}
    told, lines = rewrite(host={"accuracy": bad}, code={"commit": no_text}, session=session)
    assert [told[key] for key in ("commit", "command", "environment")] == [None, None, None]
    assert any("an unknown CPU" in line for line in lines)


@pytest.mark.parametrize("bad", ["x", [], {}, True, None])
def test_an_accuracy_that_is_no_number_is_not_shown(rewrite, bad):
    whole, lines = rewrite()
    assert f", top-1 {whole['top1']:.2f} %" in lines[1]
    results = {"test": {**whole["record"]["results"]["test"], "top1": bad}, "validation": None}
    told, lines = rewrite({"results": results})
    assert told["top1"] is None and "top-1" not in lines[1]


@pytest.mark.parametrize(
    "budget",
    [
        *NO_TABLES,
        {"seconds": "x"},
        {"seconds": {"asked": "x", "total_steps": 7}},
        {"seconds": {"asked": 1.0, "total_steps": "x"}},
        {"seconds": {"asked": 1.0, "total_steps": True}},
        {"seconds": {"total_steps": 7}},
    ],
)
def test_a_budget_of_another_type_has_measured_nothing(rewrite, budget):
    assert measured_in({"budget": budget}) == {}
    assert not [line for line in rewrite({"budget": budget})[1] if line.startswith("budget")]


def test_what_was_measured_of_a_budget_in_seconds_is_told_whole():
    seconds = {"asked": 60, "step_seconds": 0.5, "total_steps": 120}
    assert measured_in({"budget": {"seconds": seconds}}) == seconds


def test_a_command_without_its_closing_quotation_names_no_folder():
    assert _folders(None, {"command": 'harness run "a.toml'}) == [Path.cwd()]


@pytest.mark.parametrize("bad", NO_TABLES)
def test_a_record_of_another_type_is_compared_without_what_cannot_be(bad):
    now = {"status": "completed", "digests": {}, "results": {"test": {"top1": 50.0, "nll": 0.1, "count": 8}}}
    then = {**now, "results": {"test": {"top1": "x", "nll": bad if bad != 7 else "x", "count": "x"}}}
    told = compare_attempts(then, now)
    assert (told["equal"], told["top1_difference"], told["nll_difference"], told["examples"]) == (
        False,
        None,
        None,
        None,
    )
    host = {"accuracy": {"python": "3.13"}}
    assert differing_environment({"accuracy": bad}, host) == ["python absent, now 3.13"]
