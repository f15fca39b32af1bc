"""Two jobs on two cores against one: trials an hour, and the same records. Run it by hand on a quiet machine.

    python benchmarks/gates/check_two_jobs.py [rounds]

Each round runs the suite with `--jobs 1` and `--jobs 2`, in turn, in folders of their own. The rate is counted
from the start of the first trial to the end of the last one; the time of the whole command, with its start and
the board, is printed beside it. Wanted: at least 1.8 times, with the same trial ids, digests and accuracies.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

WANTED = 1.8
SUITE = """
schema = 1
name = "jobs"
replicates = 8
baseline = "plain"
verdicts = false
[budget]
epochs = 24
[timing]
rounds = 0
[recipe]
dataset = { name = "subset", of = { name = "digits" }, fraction = 0.25, validation = 0.1 }
backbone = { name = "simple-cnn", width = 8 }
optimizer = { name = "sgd", lr = 0.1, momentum = 0.9, weight_decay = 5e-4 }
schedule = { name = "cosine", warmup = 0.05 }
batch_size = 32
[arms.plain]
[arms.mixup]
augmentations = ["...", { name = "mixup", alpha = 0.4 }]
[arms.sam]
tricks = ["...", { name = "sam", rho = 0.05 }]
"""

Records = dict[str, dict[str, Any]]


def run(folder: Path, jobs: int) -> tuple[float, float, Records]:
    """Run the suite; return the seconds of its trials, those of the command, and the records by trial."""
    results = folder / "results"
    environment = {**os.environ, "HARNESS_CACHE": str(folder.parent / "cache")}
    command = [sys.executable, "-m", "harness", "run", "suite.toml", "--jobs", str(jobs), "--device", "cpu"]
    folder.mkdir()
    (folder / "suite.toml").write_text(SUITE)
    begun = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    whole = time.monotonic() - begun
    records = [orjson.loads(path.read_bytes()) for path in results.glob("jobs/trials/*/*.json")]
    starts, ends = (
        [datetime.fromisoformat(r[key]) for r in records] for key in ("started_at", "finished_at")
    )
    return (max(ends) - min(starts)).total_seconds(), whole, {r["trial"]: r for r in records}


def same(one: Records, other: Records) -> bool:
    """Whether two runs have the same trials with the same results, bit for bit."""

    def results(records: Records) -> dict[str, Any]:
        keys = ("status", "arm", "replicate", "digests", "results")
        return {trial: {key: record[key] for key in keys} for trial, record in records.items()}

    return bool(one) and results(one) == results(other)


def main(rounds: int) -> int:
    """Measure, print, and return 1 where the figure or the records are not as wanted."""
    ratios, of_commands, is_same = [], [], True
    with tempfile.TemporaryDirectory() as name:
        run(Path(name) / "warm", 2)  # prepares the data, compiles the byte code
        for number in range(rounds):
            order = (1, 2) if number % 2 else (2, 1)
            found = {jobs: run(Path(name) / f"{number}-{jobs}", jobs) for jobs in order}
            (one, whole_one, records_one), (two, whole_two, records_two) = found[1], found[2]
            is_same &= same(records_one, records_two)
            ratios.append(one / two)
            of_commands.append(whole_one / whole_two)
            count = len(records_one)
            print(
                f"round {number}: {count} trials, {3600 * count / one:,.0f} an hour with one job, "
                f"{3600 * count / two:,.0f} with two: {one / two:.2f} times; whole commands {whole_one:.1f} s "
                f"and {whole_two:.1f} s: {whole_one / whole_two:.2f} times",
                flush=True,
            )
    ratio = statistics.median(ratios)
    print(f"two jobs against one: {ratio:.2f} times the trials an hour (wanted {WANTED})")
    print(f"whole commands: {statistics.median(of_commands):.2f} times")
    print(f"records: {'the same' if is_same else 'THEY DIFFER'}")
    return 0 if ratio >= WANTED and is_same else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
