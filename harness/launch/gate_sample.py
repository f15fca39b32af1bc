"""Takes the samples of a gate: base and candidate in rounds, a fresh process each, what is gated by name.

What the samples mean is not known here: `harness.cli.gating` takes rounds until the judge has seen enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from harness.launch.gate_build import GateRefused, Side
from harness.launch.gate_measures import (
    ACCURACY_KEYS,
    SPEED_KEYS,
    Series,
    arm_of,
    check_stray,
    differences,
    kind_of,
    measures_of,
    order_of,
    trials_at_a_time,
)
from harness.launch.gate_open import Sampling, broken_arms, open_suites
from harness.launch.gate_process import Answer, Question, ask, ask_in_turns
from harness.launch.options import devices, resolve_device
from harness.launch.progress import Progress

Json = dict[str, Any]

SCHEMA = 1
TOP1 = "top1"
_UNITS = {"time": "s", "memory": "bytes", "accuracy": "points"}


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
        self._opened = open_suites(self._sides, sampling, self._device, self._ask_to_open)
        self._failures = broken_arms(self._sides, self._opened)
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
        """Take rounds: in each, every arm concerned once on both sides, who goes first drawn for each round.

        A measure that one side lacks is kept for the other: it has vanished, or is new.

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
                if arm in self._failures:
                    continue
                for measure in dict.fromkeys([*pair[0], *pair[1]]):
                    name = f"{arm}/{measure}"
                    if names is None or name in names:
                        series = self._series.setdefault(name, Series(kind_of(measure)))
                        series.add(pair[0].get(measure), pair[1].get(measure))

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
            "suite": self._suite_name(),
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
            "base": series.side("base"),
            "candidate": series.side("candidate"),
            "again": series.again,
            "margin": self._sampling.margin if series.kind == "accuracy" else None,
            "failures": self._failures.get(arm_of(name), []),
            "differs": self._differs(
                arm_of(name), ACCURACY_KEYS if series.kind == "accuracy" else SPEED_KEYS
            ),
        }

    def _ask_to_open(self, side: Side, request: Json) -> Answer:
        question = self._ask_for("open", side, request)
        return ask([question], width=1, timeout_seconds=self._timeout, heard=self._heard)[0]

    def _suite_name(self) -> str:
        # One machine's history holds the figures of its CPU and of its GPU.
        name, kind = str(self._opened[1]["suite"]), self._device.partition(":")[0]
        return name if kind == "cpu" else f"{name} on {kind}"

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
        order = order_of(f"{self._sides[0].commit}/{self._sides[1].commit}/{arm}", number)
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
