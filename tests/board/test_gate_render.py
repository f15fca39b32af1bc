"""A gate's report in four formats; hostile names in each."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from harness.board.gate import judge
from harness.board.gate_render import render_json, render_junit, render_markdown, render_text
from harness.board.gate_rules import VERDICTS

Json = dict[str, Any]
HOSTILE = "a|b<script>alert(1)</script>\x1b[31m`*_]]>&\"'\n@all \ufffe\udc80\x00"


def samples(name: str = "plain/step_seconds", source: str = "commits", label: str = "main") -> Json:
    steady = [1.0 + 0.001 * (index % 5) for index in range(12)]
    slow = [1.1 * value for value in steady]
    host = {"speed": {"cores": 2}}

    def measured(one: str, candidate: list[float], **more: Any) -> Json:
        return {
            "name": one,
            "kind": "time",
            "unit": "s",
            "base": steady,
            "candidate": candidate,
            "again": {"base": steady, "candidate": candidate},
            "margin": None,
            "failures": [],
            **more,
        }

    return {
        "schema": 1,
        "source": source,
        "advisory": source != "commits",
        "base": {"label": label, "commit": "0123456789abcdef", "host": host},
        "candidate": {"label": label, "commit": None, "host": host},
        "notes": [f"note of {name}"],
        "measurements": [
            measured(name, slow),
            measured(f"{name} fine", steady),
            measured(f"{name} gone", []),
            measured(f"{name} failed", slow, failures=[f"oom in {name}"]),
            measured(f"{name} other", slow, differs=["data"]),
            measured(f"{name} faster", [0.8 * value for value in steady]),
            measured(f"{name} noisy", [value * (1 + index % 3) for index, value in enumerate(steady)]),
            {**measured(f"{name} new", steady), "base": []},
        ],
    }


RENDERERS = {
    "text": render_text,
    "json": render_json,
    "junit": render_junit,
    "markdown": render_markdown,
}


@pytest.mark.parametrize("form", RENDERERS)
def test_every_verdict_and_the_exit_code_are_in_every_format(form: str) -> None:
    report = judge(samples())
    assert {row["verdict"] for row in report["rows"]} == set(VERDICTS)
    text = RENDERERS[form](report)
    for word in (*VERDICTS, "plain/step"):
        assert word in text.replace("\\_", "_")
    assert ("exit_code" if form == "json" else "exit code 5") in text.replace("\\_", "_")
    assert "plain/step_seconds new" in text.replace("\\_", "_")
    assert "note of" in text


@pytest.mark.parametrize("form", RENDERERS)
def test_a_comparison_of_stored_files_says_that_it_is_advisory(form: str) -> None:
    assert "advisory" in RENDERERS[form](judge(samples(source="results")))
    assert "advisory" not in RENDERERS[form](judge(samples())).replace('"advisory": false', "")


@pytest.mark.parametrize("form", RENDERERS)
def test_equal_input_gives_equal_bytes(form: str) -> None:
    assert RENDERERS[form](judge(samples())) == RENDERERS[form](judge(samples()))


def test_hostile_names_do_nothing_in_a_terminal() -> None:
    text = render_text(judge(samples(HOSTILE, label=HOSTILE)))
    assert all(line.isprintable() for line in text.splitlines())
    assert "\\x1b[31m" in text
    text.encode()


def test_hostile_names_do_nothing_in_markdown() -> None:
    report = judge(samples(HOSTILE, label=HOSTILE))
    text = render_markdown(report)
    text.encode()
    assert "<script" not in text
    assert "@all" not in text
    assert "\x1b" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    columns = {line.replace("\\|", "").count("|") for line in tables}
    assert columns == {10}
    assert len(tables) == len(report["rows"]) + 2 * 2  # two tables: what is not fine, and what is


def test_junit_is_well_formed_and_counts_what_a_reader_must_not_overlook() -> None:
    report = judge(samples(HOSTILE, label=HOSTILE))
    text = render_junit(report)
    (suite,) = ElementTree.fromstring(text.encode())
    cases = suite.findall("testcase")
    counted = {kind: str(len(suite.findall(f"testcase/{kind}"))) for kind in ("failure", "error", "skipped")}
    assert counted == {"failure": "1", "error": "3", "skipped": "1"}
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("1", "3", "1")
    assert suite.get("tests") == str(len(cases)) == "7"
    assert "<script" not in text


def test_a_report_of_nothing_is_an_error_in_junit() -> None:
    report = judge({**samples(), "measurements": []})
    (suite,) = ElementTree.fromstring(render_junit(report))
    assert suite.get("errors") == suite.get("tests") == "1"
    assert "nothing was compared" in render_text(report)
    assert "nothing was compared" in render_markdown(report)


def test_an_arm_that_failed_tells_its_log_once_and_by_lines() -> None:
    whole = samples()
    whole["measurements"] = [
        {
            **whole["measurements"][0],
            "name": f"plain/{name}",
            "failures": ["base: exited with code 1\nTraceback\nOh|no"],
        }
        for name in ("peak_resident_bytes", "step_seconds")
    ]
    report = judge(whole)
    text = render_text(report)
    names = "plain/peak_resident_bytes, plain/step_seconds"
    assert f"\n{names}: base: exited with code 1\n    Traceback\n    Oh|no\n" in text
    assert text.count("Traceback") == render_markdown(report).count("Traceback") == 1
    assert "exited with code 1<br>Traceback<br>Oh\\|no\n" in render_markdown(report)
    error = ElementTree.fromstring(render_junit(report)).find("testsuite/testcase/error")
    assert error is not None
    assert error.get("message") == "base: exited with code 1"
    assert str(error.text).endswith("\nTraceback\nOh|no")


def test_json_is_the_report() -> None:
    report = judge(samples())
    assert json.loads(render_json(report)) == report


def test_amounts_are_in_units_that_suit_them() -> None:
    line = next(
        line for line in render_text(judge(samples())).splitlines() if line.startswith("▼ regression")
    )
    expected = "▼ regression plain/step_seconds 1 s 1.1 s 1.100× 1.025× 0.00024 0.0 % 12 + 12"
    assert " ".join(line.split()) == expected
