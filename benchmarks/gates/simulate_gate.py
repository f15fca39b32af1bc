"""How often the gate's verdict is right: thousands of simulated CI runs through the judge itself, as the runner asks.

    python benchmarks/gates/simulate_gate.py        the figures; exit 1 where one misses what is wanted
    python benchmarks/gates/measure_noise.py 40     the noise of this machine, to find the line that holds for it

A simulated run has six timings and one memory, on both sides. In a run with a planted slowdown one of the timings
has it. Wanted: 5 % slower is caught in at least 95 of 100 runs, at most 1 false alarm in 100 runs.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.board.gate import judge, needs_again, rounds_wanted
from harness.board.gate_ranks import needed_samples, smallest_p
from harness.board.gate_rules import GateRules
from harness.board.gate_steps import detect_steps

Json = dict[str, Any]
Array = npt.NDArray[np.float64]

TIMINGS = 6
MEMORY_BYTES = 540 * 2**20
RULES = GateRules()


REFERENCE = Path(__file__).parents[2] / "results" / "reference" / "tricks"


@dataclass(frozen=True, slots=True)
class Noise:
    """What scatters one sample about its machine's present speed, as shares of the value.

    Attributes:
        sample: Deviation of the log of a sample, hiccups aside.
        hiccups: Share of samples that a neighbour of the machine disturbs.
        hiccup: Their mean delay, exponentially distributed.
        residuals: Measured logs to draw from instead.
    """

    sample: float
    hiccups: float
    hiccup: float
    residuals: tuple[float, ...] = ()

    def draw(self, generator: np.random.Generator, count: int) -> Array:
        """Return so many logs."""
        if self.residuals:
            return generator.choice(np.asarray(self.residuals), count)
        disturbed = generator.random(count) < self.hiccups
        delays = np.log1p(disturbed * generator.exponential(self.hiccup, count))
        return np.asarray(generator.normal(0.0, self.sample, count) + delays)


def reference_residuals() -> tuple[float, ...]:
    """Return the noise of processes one after the other on a two-core virtual machine, as it was measured.

    The step seconds of the reference's timing pass, 6 arms x 7 rounds: their logs without the arm's mean and the
    round's median, widened for what these 12 numbers took from 42.
    """
    paths = sorted(REFERENCE.glob("timings/*/*.json"))
    records = [json.loads(path.read_text()) for path in paths]
    arms = sorted({record["arm"] for record in records})
    rounds = sorted({record["round"] for record in records})
    logs = np.full((len(arms), len(rounds)), np.nan)
    for record in records:
        logs[arms.index(record["arm"]), rounds.index(record["round"])] = math.log(
            record["step_seconds"]["median"]
        )
    logs -= logs.mean(axis=1, keepdims=True)
    logs -= np.median(logs, axis=0, keepdims=True)
    free = logs.size - len(arms) - len(rounds) + 1
    return tuple((logs * math.sqrt(logs.size / free)).ravel().tolist())


NOISES = {
    "1 %": Noise(0.01, 0.05, 0.15),
    "2 %": Noise(0.02, 0.05, 0.15),
    "3 %": Noise(0.03, 0.05, 0.15),
    "4 %": Noise(0.04, 0.05, 0.15),
    "reference": Noise(0.0, 0.0, 0.0, reference_residuals()),
}
"""The last is measured, of one process after the other and with neighbours: 5 % is beyond what so many rounds can
tell there. What has to hold then is that the gate says so. The others are what `measure_noise.py` is held against."""

RESOLVED = ("1 %", "2 %", "3 %")
"""Where 5 % slower has to be caught in 95 of 100 runs."""

REPLICATE_POINTS = 0.5
"""Deviation of the difference of two runs of one replicate whose rounding differs, in points: 10,000 test images."""


def series(
    generator: np.random.Generator, noise: Noise, drift: float, slowdown: float
) -> tuple[list[float], list[float]]:
    """Return all the rounds that could be asked for, base and candidate; who goes first is drawn by round.

    The machine gets slower by `drift` from the first sample to the last, as a line; `slowdown` is the candidate's.
    """
    rounds = RULES.looks[-1]
    logs = np.linspace(0.0, drift, 2 * rounds) + noise.draw(generator, 2 * rounds)
    pairs = 0.05 * np.exp(logs.reshape(rounds, 2))
    base_first = generator.random(rounds) < 0.5
    base = np.where(base_first, pairs[:, 0], pairs[:, 1])
    candidate = np.where(base_first, pairs[:, 1], pairs[:, 0]) * (1.0 + slowdown)
    return base.tolist(), candidate.tolist()


def sizes(generator: np.random.Generator, growth: float) -> tuple[list[float], list[float]]:
    """Return peak memory: 540 MiB, give or take one."""
    rounds = RULES.looks[-1]
    pairs = MEMORY_BYTES + generator.normal(0.0, 2.0**20, (2, rounds))
    return pairs[0].tolist(), (pairs[1] * (1.0 + growth)).tolist()


def simulate(draws: dict[str, tuple[str, Callable[[], tuple[list[float], list[float]]]]]) -> tuple[Json, int]:
    """Run one gate as the runner does, until no verdict asks for rounds; return the report and all rounds taken.

    `draws` gives, by measurement, its kind and what draws a whole series for it.
    """
    stock = {name: draw() for name, (_, draw) in draws.items()}
    measurements = {
        name: {"name": name, "kind": kind, "unit": "s", "base": [], "candidate": [], "again": None}
        for name, (kind, _) in draws.items()
    }
    side = {"label": "simulated", "commit": None, "host": None}
    samples = {"schema": 1, "source": "commits", "base": side, "candidate": side}
    wanted = dict.fromkeys(draws, RULES.looks[0])
    again: list[str] = []
    taken = 0
    while wanted:
        for name in again:
            stock[name] = draws[name][1]()
            measurements[name]["again"] = {"base": [], "candidate": []}
        for name, rounds in wanted.items():
            into = measurements[name]["again"] or measurements[name]
            count = len(into["base"]) + rounds
            into["base"], into["candidate"] = (values[:count] for values in stock[name])
            taken += rounds
        # A measurement whose verdict stands gets no more samples: it is judged once more, at the end.
        report = judge({**samples, "measurements": [measurements[name] for name in wanted]}, RULES)
        wanted, again = rounds_wanted(report), needs_again(report)
    return judge({**samples, "measurements": list(measurements.values())}, RULES), taken


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of simulated runs by their verdict."""

    caught: float
    other_alarm: float
    noisy: float
    rounds: float


def run_many(
    runs: int, noise: Noise, *, drift: float = 0.0, slowdown: float = 0.0, growth: float = 0.0
) -> Outcome:
    """Simulate `runs` gates in which the first timing is slower, or the memory larger."""
    generator = np.random.default_rng(round(1e6 * (noise.sample + drift + slowdown + growth)) + runs)
    counts: Counter[str] = Counter()
    rounds = 0
    for _ in range(runs):
        draws: dict[str, tuple[str, Callable[[], tuple[list[float], list[float]]]]] = {
            f"arm-{index}/step_seconds": (
                "time",
                lambda planted=slowdown if index == 0 else 0.0: series(generator, noise, drift, planted),
            )
            for index in range(TIMINGS)
        }
        draws["arm-0/peak_resident_bytes"] = ("memory", lambda: sizes(generator, growth))
        report, taken = simulate(draws)
        planted = "arm-0/peak_resident_bytes" if growth else "arm-0/step_seconds"
        worse = {row["name"] for row in report["rows"] if row["verdict"] == "regression"}
        counts["caught"] += planted in worse
        counts["other"] += bool(worse - {planted})
        counts["noisy"] += report["exit_code"] == 4 and planted not in worse
        rounds += taken
    return Outcome(
        counts["caught"] / runs, counts["other"] / runs, counts["noisy"] / runs, rounds / runs / (TIMINGS + 1)
    )


def accuracy_runs(runs: int, loss: float, replicates: int) -> Counter[str]:
    """Judge `runs` accuracies of so many replicates, the candidate's worse by `loss` points."""
    generator = np.random.default_rng(17)
    side = {"label": "simulated", "commit": None, "host": None}
    verdicts: Counter[str] = Counter()
    for _ in range(runs):
        base = 69.7 + generator.normal(0.0, 0.4, replicates)
        candidate = base - loss + generator.normal(0.0, REPLICATE_POINTS, replicates)
        measurement = {"name": "arm/top1", "kind": "accuracy", "unit": "points", "again": None}
        measurement |= {"base": base.tolist(), "candidate": candidate.tolist()}
        samples = {"schema": 1, "source": "commits", "base": side, "candidate": side}
        verdicts[judge({**samples, "measurements": [measurement]}, RULES)["verdict"]] += 1
    return verdicts


def history_runs(runs: int, noise: float, shift: float) -> tuple[float, float]:
    """Return in what share of histories of 60 points a step was found, and within 5 points of its place."""
    generator = np.random.default_rng(23)
    found = near = 0
    for _ in range(runs):
        values = np.exp(generator.normal(0.0, noise, 60) + np.log1p(shift) * (np.arange(60) >= 35))
        steps = detect_steps(values.tolist())
        found += bool(steps)
        near += any(abs(step.index - 35) <= 5 for step in steps)
    return found / runs, near / runs


def report_figures(runs: int) -> bool:
    """Print every figure; return whether all that is wanted holds."""
    paired, apart = (needed_samples(RULES.alpha, paired=both) for both in (True, False))
    print(f"p < {RULES.alpha:g} is possible from {paired} rounds on ({smallest_p(paired, paired, paired=True):.5f}), "
          f"of stored files from {apart} samples a side on; the first look is at {RULES.looks[0]} rounds")  # fmt: skip
    spread = np.std(NOISES["reference"].residuals)
    print(
        f"reference noise: {100 * spread:.1f} % from the mean square of {len(NOISES['reference'].residuals)} samples"
    )
    print(f"\n{runs} runs a line, {TIMINGS} timings and a memory each\nnoise      drift  planted          caught  "
          "false alarms  too noisy  rounds")  # fmt: skip
    good = True
    for name, noise in NOISES.items():
        for drift in (0.0, 0.03) if name == "1 %" else (0.03,):
            for slowdown in (0.0, 0.05, 0.10):
                outcome = run_many(runs, noise, drift=drift, slowdown=slowdown)
                alarms = outcome.other_alarm + (0.0 if slowdown else outcome.caught)
                _print_line(
                    name, drift, f"{100 * slowdown:.0f} % slower" if slowdown else "nothing", outcome, alarms
                )
                good &= alarms <= 0.01
                if slowdown:
                    good &= outcome.caught + outcome.noisy >= 0.95
                    good &= outcome.caught >= 0.95 or name not in RESOLVED
    outcome = run_many(runs, NOISES["2 %"], growth=0.05)
    _print_line("2 %", 0.0, "5 % more memory", outcome, outcome.other_alarm)
    good &= outcome.caught >= 0.95
    print("\naccuracy, 10 replicates whose differences scatter by 0.5 points, margin 0.5 points")
    for loss in (0.0, 1.0):
        verdicts = accuracy_runs(runs, loss, 10)
        shares = ", ".join(f"{key} {100 * count / runs:.1f} %" for key, count in sorted(verdicts.items()))
        print(f"loss of {loss:g}: {shares}")
        good &= verdicts["regression"] / runs >= 0.95 if loss else verdicts["regression"] / runs <= 0.01
    print("\nhistories of 60 points")
    for noise_share in (0.005, 0.01):
        alarms, _ = history_runs(runs // 2, noise_share, 0.0)
        found, near = history_runs(runs // 2, noise_share, 0.03)
        print(
            f"noise {100 * noise_share:.1f} %: 3 % step found {100 * found:.1f} %, within 5 points of its place "
            f"{100 * near:.1f} %, a step where there is none {100 * alarms:.1f} %"
        )
        good &= near >= 0.95 and alarms <= 0.01
    return good


def _print_line(name: str, drift: float, what: str, outcome: Outcome, alarms: float) -> None:
    caught = "–" if what == "nothing" else f"{100 * outcome.caught:.1f} %"
    print(
        f"{name:<10} {100 * drift:>4.0f} %  {what:<16} {caught:>6}  {100 * alarms:>10.2f} %  "
        f"{100 * outcome.noisy:>7.1f} %  {outcome.rounds:>6.1f}"
    )


def main() -> None:
    """Simulate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    arguments = parser.parse_args()
    begun = time.perf_counter()
    good = report_figures(arguments.runs)
    print(f"\n{'as wanted' if good else 'NOT AS WANTED'}, in {time.perf_counter() - begun:.0f} s")
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
