"""How long a steady window is, and what that leaves of the noise: hand-worked, by a clock that steps move."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from harness.engine import windows
from harness.engine.run import Run
from harness.engine.timing import NOISY, spread_of
from harness.engine.windows import Steady, steady, window_steps


@pytest.mark.parametrize(
    ("step_seconds", "least_seconds", "steps"),
    [
        (0.025, 5.0, 40),  # 40 steps of 25 ms are the second that is a fifth of five
        (0.026, 5.0, 40),  # 38.5 steps would do, and tens are counted
        (0.024, 5.0, 50),  # 40 steps would be 0.96 s
        (0.025, 2.5, 20),  # compute alone, for half as long: half a second
        (0.010, 2.5, 50),
        (0.002, 0.5, 50),  # a tenth of a second of half a one
        (0.002, 0.2, 50),  # never less
        (0.2, 5.0, 10),  # ten steps last longer than a window has to
    ],
)
def test_a_window_is_the_fewest_tens_of_steps_that_fill_a_fifth_of_the_seconds(
    step_seconds: float, least_seconds: float, steps: int
) -> None:
    assert window_steps(step_seconds, least_seconds) == steps


class Clock:
    """Stands still but for the steps that are taken."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def stream(self, seconds: Iterable[float]) -> Iterator[Any]:
        for each in seconds:
            self.now += each
            yield None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(windows, "perf_counter", clock)
    return clock


def measured(clock: Clock, seconds: Iterable[float], step_seconds: float, least_seconds: float) -> Steady:
    run = SimpleNamespace(device=torch.device("cpu"), loader=SimpleNamespace(waited_seconds=0.0))
    return steady(cast(Run, run), clock.stream(seconds), step_seconds, least_seconds, lambda _: None)


def test_windows_are_taken_until_seconds_steps_and_windows_suffice(clock: Clock) -> None:
    # Steps of 1/32 s, exact in binary: 40 of them are 1.25 s, and four such windows the five seconds.
    whole = measured(clock, [1 / 32] * 1000, 1 / 32, 5.0)
    assert (len(whole.windows), whole.length, whole.steps) == (4, 40, 160)
    assert whole.windows == [1.25] * 4
    # Steps of 1/2 s: five seconds are one window, and there have to be three, of forty steps in all.
    slow = measured(clock, [0.5] * 1000, 0.5, 5.0)
    assert (len(slow.windows), slow.steps, slow.elapsed) == (4, 40, 20.0)
    # A step that was thought ten times as fast: one window is all five seconds, and there have to be three.
    misjudged = measured(clock, [1 / 32] * 1000, 1 / 320, 5.0)
    assert (len(misjudged.windows), misjudged.length) == (3, 320)


def test_jitter_inside_a_window_is_no_noise_and_a_neighbour_of_a_second_is(clock: Clock) -> None:
    # Every other ten steps are a fifth slower. Windows of ten steps saw +-9 %; those of forty see nothing.
    jitter = ([0.0225] * 10 + [0.0275] * 10) * 100
    spread = spread_of(measured(clock, jitter, 0.025, 5.0).step_seconds())
    assert spread["median"] == pytest.approx(0.025) and spread["cv"] < 1e-9
    assert spread_of([0.0225, 0.0275] * 10)["cv"] == pytest.approx(0.1026, abs=1e-4) and NOISY == 0.05
    # 40 steps, two seconds of them, at half the speed: of four windows one takes twice as long.
    burst = [0.025] * 80 + [0.05] * 40 + [0.025] * 2000
    steps = measured(clock, burst, 0.025, 5.0).step_seconds()
    assert steps == pytest.approx([0.025] * 2 + [0.05] + [0.025])
    assert spread_of(steps)["cv"] > NOISY
