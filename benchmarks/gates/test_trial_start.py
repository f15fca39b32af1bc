"""From the submission of a trial to its first step, in every trial after the first, on prepared data.

Wanted: at most 0.3 s in the median, with as many trials at a time as a run takes by itself. Wall time: it says
something on an idle machine alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 0.3
SUITE = """
schema = 1
name = "start"
replicates = 10
baseline = "plain"
verdicts = false
[budget]
epochs = 2
[timing]
rounds = 0
[recipe]
dataset = { name = "subset", of = "digits", fraction = 0.25 }
backbone = { name = "simple-cnn", width = 8 }
optimizer = { name = "sgd", lr = 0.1 }
batch_size = 32
[arms.plain]
[arms.averaged]
augmentations = ["mixup"]
tricks = ["ema", "sam"]
optimizer = { name = "adamw", lr = 3e-3 }
"""


def starts(folder: Path) -> list[float]:
    """Run the suite and return the seconds of its trials, in the order in which they were started."""
    (folder / "start.toml").write_text(SUITE)
    environment = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
        "HARNESS_CACHE": str(folder / "cache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "harness", "run", "start.toml"]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    records = [json.loads(path.read_text()) for path in folder.glob("results/start/trials/*/0.json")]
    records.sort(key=lambda record: str(record["started_at"]))
    return [record["seconds"]["submission_to_first_step"] for record in records]


def test_seconds_from_submission_to_first_step(benchmark: Any, tmp_path: Path) -> None:
    seconds = benchmark.pedantic(starts, args=(tmp_path,), rounds=1)
    later = seconds[1:]
    figures = {
        "first": seconds[0],
        "median_of_the_others": statistics.median(later),
        "slowest_of_the_others": max(later),
        "trials": len(seconds),
        "limit": LIMIT_SECONDS,
    }
    benchmark.extra_info.update(figures)
    print(figures)
    assert len(seconds) == 20
    assert figures["median_of_the_others"] <= LIMIT_SECONDS
