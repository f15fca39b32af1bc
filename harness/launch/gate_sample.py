"""Takes the samples of a gate: base and candidate in rounds, a fresh process each, what is gated by name.

What the samples mean is not known here: `harness.cli.gating` takes rounds until the judge has seen enough.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from harness.errors import nearest
from harness.launch.gate_build import GateRefused, Side
from harness.launch.gate_measures import (
    ACCURACY_KEYS,
    SPEED_KEYS,
    Series,
    arm_of,
    check_code,
    check_stray,
    differences,
    kind_of,
    measures_of,
    trials_at_a_time,
)
from harness.launch.gate_process import Answer, Question, ask, ask_in_turns
from harness.launch.options import devices, resolve_device
from harness.launch.progress import Progress

Json = dict[str, Any]

SCHEMA = 1
TOP1 = "top1"
_UNITS = {"time": "s", "memory": "bytes", "accuracy": "points"}


@dataclass(frozen=True, slots=True)
class Sampling:
    """What is sampled, and how.

    Attributes:
        arms: The arms; None for all of the suite's.
        replicates: Paired replicates that accuracy is judged by; 0 leaves accuracy out.
        margin: Loss of accuracy that matters, in points; None for the rules' own.
        data: The data root, or None.
        device: "auto", "cpu", "cuda" or "cuda:1".
        timeout_seconds: A process that says nothing for so long is ended; 0 waits for ever.
    """

    arms: tuple[str, ...] | None
    replicates: int
    margin: float | None
    data: Path | None
    device: str
    timeout_seconds: float


class Bench:
    """Both sides, opened, with the samples so far."""

    def __init__(self, base: Side, candidate: Side, sampling: Sampling, progress: Progress) -> None:
        self._sides = (base, candidate)
        self._sampling = sampling
        self._progress = progress
        self._device = devices(resolve_device(sampling.device))[0]
        self._scratch = base.tree.parent / "samples"
        self._numbers = count()
        self._rounds = count()
        self._series: dict[str, Series] = {}
        self._failures: dict[str, list[str]] = {}
        self._opened = self._open()
        self._width = trials_at_a_time(self._opened, self._device)
        self.notes = list(self._differences_of_suite())
        """What a reader has to know of the whole."""

    @property
    def arms(self) -> list[str]:
        """The arms that both sides have and that have not failed."""
        base, candidate = (opened["arms"] for opened in self._opened)
        return [name for name in base if name in candidate and name not in self._failures]

    def warm_up(self) -> None:
        """Run one sample of each side for nothing: bytecode, prepared data, the disk's cache.

        For an arm that one side lacks, the sample is kept: the arm is listed as vanished, or as new.
        """
        if not (self.arms or any(self._lonely())):
            raise GateRefused(f"no arm of {self._sides[1].suite.name} can be measured: {self._why()}", 5)
        lonely = self._lonely()
        self._progress.begin("warm-up", 2 * bool(self.arms) + sum(map(len, lonely)))
        for name in self.arms[:1]:
            self._take_pair(name, 0)
        for side, names in enumerate(lonely):
            for name in names:
                for measure, value in self._take_alone(name, side).items():
                    series = self._series[f"{name}/{measure}"] = Series(kind_of(measure))
                    (series.candidate if side else series.base).append(value)

    def take(self, rounds: int, names: Collection[str] | None = None) -> None:
        """Take rounds: in each, every arm concerned once on both sides, the order turned from round to round.

        Args:
            rounds: How many.
            names: The measurements that get the samples; None for all of all arms.
        """
        arms = [arm for arm in self.arms if names is None or any(arm_of(name) == arm for name in names)]
        self._progress.begin("samples", 2 * rounds * len(arms))
        for _ in range(rounds):
            number = next(self._rounds)
            for arm in arms:
                if arm in self._failures:
                    continue
                pair = self._take_pair(arm, number)
                for measure in pair[0].keys() & pair[1].keys():
                    name = f"{arm}/{measure}"
                    if names is None or name in names:
                        series = self._series.setdefault(name, Series(kind_of(measure)))
                        series.add(pair[0][measure], pair[1][measure])

    def begin_again(self, names: Iterable[str]) -> None:
        """Let further rounds of these measurements be their second series."""
        for name in names:
            if self._series[name].again is None:
                self._series[name].again = {"base": [], "candidate": []}

    def train(self) -> None:
        """Train and judge the replicates of every arm on both sides, as many at a time as there are cores."""
        tasks = [(arm, number) for arm in self.arms for number in range(self._sampling.replicates)]
        if not tasks:
            return
        self._progress.begin("trials", 2 * len(tasks))
        questions = [self._question("trial", side, arm, number) for arm, number in tasks for side in range(2)]
        answers = ask(questions, width=self._width, timeout_seconds=self._timeout, heard=self._heard)
        values = [
            self._trial_value(question, answer) for question, answer in zip(questions, answers, strict=True)
        ]
        for (arm, number), base, candidate in zip(tasks, values[::2], values[1::2], strict=True):
            series = self._series.setdefault(f"{arm}/{TOP1}", Series("accuracy"))
            if isinstance(base, str) or isinstance(candidate, str):
                said = [f"replicate {number}: {text}" for text in (base, candidate) if isinstance(text, str)]
                self._failures.setdefault(arm, []).extend(said)
            else:
                series.add(base, candidate)

    def samples(self) -> Json:
        """Return what was sampled, as the judge reads it."""
        heads = {
            side.name: {"label": side.label, "commit": side.commit, "host": opened["host"]}
            for side, opened in zip(self._sides, self._opened, strict=True)
        }
        for arm in self._failures:
            if not any(arm_of(name) == arm for name in self._series):
                self._series[f"{arm}/step_seconds"] = Series("time")
        return {
            "schema": SCHEMA,
            "source": "commits",
            "advisory": False,
            **heads,
            "notes": self.notes,
            "measurements": [self._measurement(name, series) for name, series in self._series.items()],
        }

    @property
    def _timeout(self) -> float:
        return self._sampling.timeout_seconds

    def _measurement(self, name: str, series: Series) -> Json:
        return {
            "name": name,
            "kind": series.kind,
            "unit": _UNITS[series.kind],
            "base": series.base,
            "candidate": series.candidate,
            "again": series.again,
            "margin": self._sampling.margin if series.kind == "accuracy" else None,
            "failures": self._failures.get(arm_of(name), []),
            "differs": self._differs(
                arm_of(name), ACCURACY_KEYS if series.kind == "accuracy" else SPEED_KEYS
            ),
        }

    def _open(self) -> tuple[Json, Json]:
        """Have both sides resolve the suite; check that each runs its own code."""
        wanted = self._sampling.arms
        opened = []
        for side in self._sides:
            request = {
                "suite": str(side.suite),
                "arms": wanted,
                "data": None if self._sampling.data is None else str(self._sampling.data.resolve()),
                "replicates": max(1, self._sampling.replicates),
                "device": self._device,
            }
            question = self._ask_for("open", side, request)
            answer = ask([question], width=1, timeout_seconds=self._timeout, heard=self._heard)[0]
            if answer.value is None:
                # A suite that the base cannot read leaves nothing to compare with; the candidate's is an error.
                code = 3 if side.name == "base" else answer.exit_code or 5
                text = (answer.failure or "").replace(f"{side.tree}{os.sep}", "")
                raise GateRefused(f"{side.name} ({side.label}): {text}", code)
            check_code(side, answer.value)
            opened.append(answer.value)
        known = list(dict.fromkeys(name for one in opened for name in one["all_arms"]))
        for name in wanted or ():
            if name not in known:
                raise GateRefused(f'there is no arm "{name}" on either side{nearest(name, known)}')
        for side, one in zip(self._sides, opened, strict=True):
            for name, arm in one["arms"].items():
                if arm["failure"]:
                    self._failures.setdefault(name, []).append(f"{side.name}: {arm['failure']}")
        return opened[0], opened[1]

    def _lonely(self) -> tuple[list[str], list[str]]:
        """Return the arms that base alone has, and those that candidate alone has."""
        base, candidate = (
            [name for name in opened["arms"] if name not in self._failures] for opened in self._opened
        )
        return [n for n in base if n not in candidate], [n for n in candidate if n not in base]

    def _why(self) -> str:
        texts = [f"{arm}: {'; '.join(texts)}" for arm, texts in self._failures.items()]
        return "\n".join(texts) or "it has none"

    def _differences_of_suite(self) -> Iterable[str]:
        if self._sides[0].suite.read_bytes() != self._sides[1].suite.read_bytes():
            yield f"{self._sides[0].suite.name} itself differs between base and candidate"

    def _differs(self, arm: str, keys: Sequence[str]) -> list[str]:
        if any(arm not in opened["arms"] or not opened["arms"][arm]["jobs"] for opened in self._opened):
            return []
        base, candidate = (opened["arms"][arm]["jobs"][0] for opened in self._opened)
        return differences(base, candidate, keys)

    def _take_pair(self, arm: str, number: int) -> list[dict[str, float]]:
        """Take one sample of each side; an empty one where it failed."""
        order = (0, 1) if number % 2 == 0 else (1, 0)
        in_turns = self._device == "cpu" and not self._has_workers(arm)
        questions = [self._question("time", side, arm, 0, in_turns) for side in order]
        if in_turns:
            answers = ask_in_turns(questions, timeout_seconds=self._timeout, heard=self._heard)
        else:
            answers = ask(questions, width=1, timeout_seconds=self._timeout, heard=self._heard)
        found: list[dict[str, float]] = [{}, {}]
        for side, question, answer in zip(order, questions, answers, strict=True):
            found[side] = self._timing_values(arm, question, answer)
        return found

    def _take_alone(self, arm: str, side: int) -> dict[str, float]:
        question = self._question("time", side, arm, 0)
        answer = ask([question], width=1, timeout_seconds=self._timeout, heard=self._heard)[0]
        return self._timing_values(arm, question, answer)

    def _has_workers(self, arm: str) -> bool:
        # A side's own worker processes would go on reading ahead during the other's turn.
        jobs = [opened["arms"][arm]["jobs"][0] for opened in self._opened]
        return any((job.get("loader") or {}).get("workers") for job in jobs)

    def _question(self, kind: str, side: int, arm: str, replicate: int, in_turns: bool = False) -> Question:
        job = self._opened[side]["arms"][arm]["jobs"][replicate]
        folder = self._scratch / str(next(self._numbers))
        folder.mkdir(parents=True)
        request = {"job": {**job, "folder": str(folder)}, "turns": in_turns}
        label = f"{arm} {self._sides[side].name}" + (f" #{replicate}" if kind == "trial" else "")
        return self._ask_for(kind, self._sides[side], request, label)

    def _ask_for(self, kind: str, side: Side, request: Json, label: str = "") -> Question:
        log = self._scratch / f"{next(self._numbers)}.log"
        about = {"kind": kind, "checkout": str(side.checkout), "tree": str(side.tree)}
        return Question(side, label or side.name, {**about, **request}, log)

    def _heard(self, label: str, message: Mapping[str, Any]) -> None:
        self._progress.message(label, message)

    def _timing_values(self, arm: str, question: Question, answer: Answer) -> dict[str, float]:
        failure = answer.failure
        timing: Json = {}
        if answer.value is not None:
            check_stray(question.side, answer.value)
            timing = answer.value["timing"]
            if timing["status"] != "completed":
                failure = f"{timing['status']}: {(timing['culprit'] or {}).get('error') or 'no reason given'}"
        self._tell_end(question, answer, failure)
        if failure:
            self._failures.setdefault(arm, []).append(f"{question.side.name}: {failure}")
            return {}
        return dict(measures_of(answer.value or {}, self._device))

    def _trial_value(self, question: Question, answer: Answer) -> float | str:
        """Return the accuracy of a trial in points, or why there is none."""
        failure, value = answer.failure, None
        if answer.value is not None:
            check_stray(question.side, answer.value)
            trial = answer.value["trial"]
            value = ((trial["results"] or {}).get("test") or {}).get("top1")
            if trial["status"] != "completed" or value is None:
                error = (trial["culprit"] or {}).get("error") or "no reason given"
                failure = f"{trial['status']}: {error}"
        self._tell_end(question, answer, failure)
        return f"{question.side.name}: {failure}" if failure or value is None else float(value)

    def _tell_end(self, question: Question, answer: Answer, failure: str | None) -> None:
        status, line = ("failed", failure.partition("\n")[0]) if failure else ("completed", "")
        self._progress.finished(question.label, status, answer.seconds, line)
