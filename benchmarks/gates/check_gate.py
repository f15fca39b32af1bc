"""The gate held against itself, for real: planted regressions have to be caught, and A/A runs must not fail.

    python benchmarks/gates/check_gate.py             the plants, and 20 A/A runs: half an hour on a quiet machine
    python benchmarks/gates/check_gate.py --runs 3 --only aa,slowdown

Each case is a clone of this repository at HEAD with a commit on top, judged by `harness gate` as a CI would. The
figures are printed as they come; the exit code is 1 where a case came out as it may not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUITE = """
schema = 1
name = "check"
replicates = 6
baseline = "plain"
verdicts = false
[budget]
epochs = 8
[timing]
seconds = {seconds}
[recipe]
dataset = {{ name = "digits", validation = 0.1 }}
backbone = {{ name = "simple-cnn", width = 8 }}
optimizer = {{ name = "sgd", lr = 0.1, momentum = 0.9 }}
batch_size = 32
[arms.plain]
"""
LOOP = Path("harness/engine/loop.py")
TRIAL = Path("harness/engine/trial.py")


# Each is put at the end of its file, and wraps a function of it under the function's own name.
SLOWER = """

_planted_steps = steps


def steps(run, first, last):
    # Every eighth step passes forward and backward twice, which is a tenth more work. (Spinning for a tenth of a step's
    # time makes the steps 5 % slower: they are faster by themselves after such a rest.)
    for step, result in _planted_steps(run, first, last):
        if step % 8 == 7:
            run.step.closure()
        yield step, result
"""
LARGER = """

_planted_steps = steps
_planted_ballast = []


def steps(*arguments, **keywords):
    # 5 % more memory than the process takes before its first step.
    from pathlib import Path

    if not _planted_ballast:
        pages = Path("/proc/self/statm").read_text().split()[1]
        _planted_ballast.append(bytearray(b"x") * int(0.05 * int(pages) * 4096))
    yield from _planted_steps(*arguments, **keywords)
"""
WORSE = """

_planted_predict = predict


def predict(*arguments, **keywords):
    # Of the 360 test images four are told wrong: a point of accuracy.
    import torch

    logits = _planted_predict(*arguments, **keywords)
    turned = torch.arange(len(logits)) % 90 == 3
    return torch.where(turned[:, None], -logits, logits)
"""


@dataclass(frozen=True)
class Case:
    """A planted change: the file, what is added to it, what the gate is asked, the row that has to fail."""

    file: Path
    addition: str
    options: Sequence[str]
    row: str


CASES = {
    "slowdown": Case(LOOP, SLOWER, (), "plain/step_seconds"),
    "memory": Case(LOOP, LARGER, (), "plain/peak_resident_bytes"),
    "accuracy": Case(TRIAL, WORSE, ("--accuracy", "6", "--margin", "0.5"), "plain/top1"),
}


def run_gate(folder: Path, *options: str) -> tuple[int, dict[str, object], float]:
    """Run `harness gate` in a clone; return exit code, report and seconds."""
    report = folder.parent / "report.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "harness", "gate", "../check.toml", "--json", str(report)]
    began = time.monotonic()
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if not report.exists():
        print(done.stderr[-3000:])
        return done.returncode, {"rows": []}, seconds
    return done.returncode, json.loads(report.read_text()), seconds


def show(name: str, code: int, report: dict[str, object], seconds: float) -> None:
    print(f"{name}: exit code {code} in {seconds:.0f} s", flush=True)
    for row in report["rows"]:  # type: ignore[attr-defined]
        print(f"    {row['name']}: {row['verdict']}: {row['reason']}", flush=True)


def plant(folder: Path, case: Case) -> None:
    """Commit the change on top of HEAD."""
    path = folder / case.file
    path.write_text(path.read_text() + case.addition)
    identity = ["-c", "user.name=check", "-c", "user.email=check@localhost"]
    subprocess.run(["git", *identity, "commit", "-q", "-a", "-m", "planted"], cwd=folder, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20, help="A/A runs")
    parser.add_argument("--seconds", type=float, default=4.0, help="steady seconds a sample")
    parser.add_argument("--rounds", type=int, help="rounds and no more, as `harness gate --rounds`")
    parser.add_argument("--only", default="slowdown,memory,accuracy,aa", help="cases, joined by commas")
    options = parser.parse_args()
    wanted = options.only.split(",")
    rounds = () if options.rounds is None else ("--rounds", str(options.rounds))
    failed = []
    with tempfile.TemporaryDirectory(prefix="check-gate-") as scratch:
        (Path(scratch) / "check.toml").write_text(SUITE.format(seconds=options.seconds))
        for name in [name for name in wanted if name in CASES]:
            folder = Path(scratch) / name
            subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
            plant(folder, CASES[name])
            code, report, seconds = run_gate(
                folder, "--base", "HEAD~1", "--candidate", "HEAD", *rounds, *CASES[name].options
            )
            show(name, code, report, seconds)
            verdicts = {row["name"]: row["verdict"] for row in report["rows"]}  # type: ignore[attr-defined]
            if code != 1 or verdicts.get(CASES[name].row) != "regression":
                failed.append(name)
        if "aa" in wanted:
            folder = Path(scratch) / "aa"
            subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
            codes = Counter[int]()
            for number in range(options.runs):
                code, report, seconds = run_gate(folder, "--base", "HEAD", "--candidate", "HEAD", *rounds)
                show(f"A/A {number + 1}", code, report, seconds)
                codes[code] += 1
            print(f"A/A: {codes[0]} fine, {codes[4]} too noisy, {options.runs - codes[0] - codes[4]} neither")
            if codes[0] + codes[4] != options.runs:
                failed.append("aa")
    print(f"failed: {', '.join(failed)}" if failed else "all as it has to be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
