"""Steady windows that come out noisy are taken again: which counts hangs on the spread alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.engine import timing
from harness.engine.windows import Steady, steady
from harness.suite.plan import Job

QUIET, NOISY, WORSE = [1.0, 1.02, 1.01], [1.0, 1.2, 1.1], [1.0, 3.0, 2.0]
"""Coefficients of variation of 1, 9 and 50 %."""


@pytest.mark.parametrize(
    ("windows", "taken", "chosen"),
    [
        ([QUIET], 1, QUIET),
        ([NOISY, QUIET], 2, QUIET),
        ([WORSE, NOISY, QUIET], 3, QUIET),
        (
            [WORSE, NOISY, WORSE, WORSE, WORSE],
            5,
            NOISY,
        ),  # noisy for all that; the fastest or the last would be another
    ],
)
def test_noisy_windows_are_taken_again_and_the_quietest_count(
    windows: list[list[float]],
    taken: int,
    chosen: list[float],
    make_job: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = list(windows)

    def scripted(*arguments: Any) -> Steady:
        found = steady(*arguments)
        return replace(found, windows=left.pop(0), length=10) if left else found

    monkeypatch.setattr(timing, "steady", scripted)
    told = timing.time_arm(make_job(), report=lambda _: None)
    assert told["status"] == "completed", told["culprit"]
    assert [one["median"] for one in told["tries"]] == [
        pytest.approx(sorted(one)[1] / 10) for one in windows[:taken]
    ]
    assert not left
    assert told["window_seconds"] == chosen
    assert told["step_seconds"]["median"] == pytest.approx(sorted(chosen)[1] / 10)
    assert told["steady_steps"] == 30
    assert told["noisy"] is (chosen is not QUIET)
    assert told["seconds"]["steady"] == pytest.approx(sum(chosen))
