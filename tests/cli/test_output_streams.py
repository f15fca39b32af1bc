"""What is printed stays on the screen as text, in a width that is one, and valid where it is JSON."""

from __future__ import annotations

import os
import sys

import orjson
import pytest

from harness.cli import output


@pytest.mark.parametrize(
    ("told", "columns"), [("19", 120), ("20", 20), ("5", 120), ("200", 200), ("-60", 120), ("²", 120)]
)
def test_a_width_is_taken_from_twenty_columns_on(
    told: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", told)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert output._columns() == columns


@pytest.mark.parametrize(("wide", "columns"), [(5, 20), (0, 120), (77, 77)])
def test_a_terminal_tells_its_width_and_no_less_than_twenty_columns_are_used(
    wide: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((wide, 24)))
    assert output._columns() == columns


def test_what_is_said_shows_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin's name may hold a terminal's escapes: they are to be read, not obeyed."""
    output.say("an arm \x1b[2J\x1b[31mred\x1b[0m\ta\nb\u202e")
    assert capsys.readouterr().out == "an arm \\x1b[2J\\x1b[31mred\\x1b[0m\ta\nb\\u202e\n"


def test_a_complaint_shows_control_characters_and_needs_no_stream(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output.complain("a\x1b[31m\u202eb\tc\nd")
    assert capsys.readouterr().err == "a\\x1b[31m\\u202eb\tc\nd\n"

    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

        def flush(self) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stderr", Gone())
    output.complain("nobody hears")


def test_json_of_any_text_is_json_and_shows_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "a\x1b\x7f\u202e\U000e0001\u00ad\ud7ffb\u2028c"}
    output.say_json(value)
    told = capsys.readouterr().out
    assert orjson.loads(told) == value
    assert all(letter.isprintable() or letter == "\n" for letter in told)
