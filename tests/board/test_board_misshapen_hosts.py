"""A host's file may hold anything that hashes to its name: boards and comparisons take what is no table for absent."""

from __future__ import annotations

from typing import Any

import pytest

from harness.board.environment import environment_stamps, origin_stamps
from harness.board.host_words import apart_in_words, environments_in_words, host_in_brief

BAD = ["x", [], [1], 7, True]
WHOLE = {
    "accuracy": {"cpu": "EPYC", "gpu": [], "libraries": {"torch": "2.9.1"}},
    "speed": {"cores": 2, "gpus": []},
}


def records(*names: str) -> list[dict[str, Any]]:
    return [{"refs": {"host": name}} for name in names]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("where", ["host", "accuracy", "libraries"])
def test_an_environment_of_another_type_is_one_of_its_own_and_is_told(where: str, bad: Any) -> None:
    host: Any = {"host": bad, "accuracy": {"accuracy": bad}, "libraries": {"accuracy": {"libraries": bad}}}[
        where
    ]
    stamps = environment_stamps(records("a", "b"), [], {"a": WHOLE, "b": host})
    assert len(stamps) == 1 and stamps[0].startswith("mixed hosts: trials ran in 2 environments (")
    assert "EPYC and none" in stamps[0]


@pytest.mark.parametrize("bad", BAD)
def test_two_environments_that_are_no_tables_have_no_entries_that_differ(bad: Any) -> None:
    stamps = environment_stamps(records("a", "b"), [], {"a": {"accuracy": bad}, "b": {"accuracy": "y"}})
    assert stamps == ["mixed hosts: trials ran in 2 environments"]


@pytest.mark.parametrize("bad", BAD)
def test_comparisons_tell_the_entries_of_the_side_that_has_any(bad: Any) -> None:
    for host in (bad, {"accuracy": bad}):
        assert environments_in_words(WHOLE, host).startswith("torch 2.9.1 in the base, none in the candidate")
        assert apart_in_words([WHOLE], [host]).startswith("torch 2.9.1 in the base, none in the candidate")
    host = {"accuracy": {**WHOLE["accuracy"], "libraries": bad}}
    assert environments_in_words(WHOLE, host) == "torch 2.9.1 in the base, none in the candidate"


@pytest.mark.parametrize("bad", BAD)
def test_a_machine_is_named_by_what_can_be_read_of_it(bad: Any) -> None:
    assert host_in_brief({"accuracy": bad, "speed": bad}) == "a CPU"
    assert host_in_brief({"accuracy": {"cpu": "EPYC", "libraries": bad}, "speed": {"gpus": bad}}) == "EPYC"
    timings = [{"refs": {"host": "b"}}]
    shared = {"a": WHOLE, "b": {"accuracy": bad}}
    told = "shown: accuracy of EPYC (2 cores), torch 2.9.1 (1 trial); speed and memory of a CPU (1 timing)"
    assert origin_stamps([(records("a")[0], 1)], timings, shared) == [told]
