"""CPU time (user and system) of the commands that train nothing, the least of several runs, and seconds of `try`.

Wanted: `--help` at most 0.2 s, `list`, `show` and `leaderboard` at most 0.4 s; the README's plugin tried in 30 s.
Modules are compiled beforehand, as an installation has them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

RUNS = 5
SUITE = """
schema = 1
name = "start"
replicates = 1
baseline = "plain"
verdicts = false
[budget]
epochs = 1
[timing]
rounds = 0
[recipe]
dataset = { name = "subset", of = "digits", samples = 100 }
backbone = { name = "simple-cnn", width = 4 }
optimizer = { name = "sgd", lr = 0.1 }
batch_size = 32
[arms.plain]
[arms.smooth]
tricks = ["label-smoothing"]
"""


def command_line(folder: Path, *arguments: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
        "HARNESS_CACHE": str(folder / "cache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=True,
    )


def cpu_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def least(folder: Path, *arguments: str) -> float:
    took = []
    for _ in range(RUNS + 1):  # the first one compiles
        begun = cpu_seconds()
        command_line(folder, *arguments)
        took.append(cpu_seconds() - begun)
    return min(took[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    (folder / "start.toml").write_text(SUITE)
    command_line(folder, "run", "start.toml")
    return folder


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        (("--help",), 0.2),
        (("list",), 0.4),
        (("show", "mixup"), 0.4),
        (("leaderboard", "results/start"), 0.4),
    ],
    ids=("help", "list", "show", "leaderboard"),
)
def test_cpu_seconds_of_a_command(
    benchmark: Any, folder: Path, arguments: tuple[str, ...], limit: float
) -> None:
    seconds = benchmark.pedantic(least, args=(folder, *arguments), rounds=1)
    benchmark.extra_info.update({"cpu_seconds": seconds, "limit": limit})
    print(f"{' '.join(arguments)}: {seconds:.3f} s of CPU time, at most {limit} s")
    assert seconds <= limit


def test_seconds_of_a_try(benchmark: Any, folder: Path) -> None:
    """The plugin of the README, as it stands there, against its baseline: the promise is half a minute."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (text,) = re.findall(r"^```python\n(.*?)^```$", readme, flags=re.M | re.S)
    (folder / "my_trick.py").write_text(text)

    def took() -> float:
        begun = time.perf_counter()
        command_line(folder, "try", "my_trick.py")
        return time.perf_counter() - begun

    seconds = benchmark.pedantic(took, rounds=1)
    benchmark.extra_info.update({"seconds": seconds, "limit": 30})
    print(f"try: {seconds:.1f} s, at most 30")
    assert seconds <= 30
