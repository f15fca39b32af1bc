"""Everything that only a GPU can show, in one command of under eight minutes: `make gpu`.

Runs the gpu tests, the numerics suite and the speedrun, and writes one folder:

    summary.md, summary.json    what was measured, and how each part ended
    tests.xml                   the gpu tests
    records.tar.gz              the suites' plans, records and boards, to unpack under results/
    log.txt                     what the parts printed

    python benchmarks/gpu/run.py --out gpu-results [--data ROOT] [--seconds 460]

Beyond torch, torchvision and timm it needs the packages of NEEDED; what is missing is named before anything runs.
The harness itself has to be installed (its plugins come in by an entry point): a wheel made by `make wheel` serves.
Parts stand in order of what they are worth: one for which too little time is left is left out, and the summary says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEEDED = (
    "harness-bench",
    "annotated-types",
    "markupsafe",
    "numpy",
    "orjson",
    "pillow",
    "platformdirs",
    "pluggy",
    "psutil",
    "pyarrow",
    "pydantic",
    "pytest",
    "rich",
    "safetensors",
    "scikit-learn",
    "scipy",
    "timm",
    "torch",
    "torchvision",
    "typer",
)
USEFUL = ("nvidia-ml-py",)
"""Without these something is not measured: energy."""


@dataclass(frozen=True)
class Part:
    """One command.

    Attributes:
        name: What it is called in the summary.
        command: What is run, in the repository's root.
        seconds: It is ended after this long.
        least_seconds: It is not begun with less left.
        data: Whether it needs CIFAR-10 under the data root.
    """

    name: str
    command: tuple[str, ...]
    seconds: float
    least_seconds: float
    data: bool = False


def parts(out: Path) -> list[Part]:
    python, results = sys.executable, str(out / "results")
    run = (python, "-m", "harness", "run")
    return [
        Part("gpu tests", (python, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider",
                           f"--junitxml={out / 'tests.xml'}"), 150, 30),
        Part("numerics", (*run, "benchmarks/suites/gpu-numerics.toml", "--results", results), 150, 60, data=True),
        Part("speedrun", (*run, "benchmarks/suites/speedrun.toml", "--results", results), 170, 60, data=True),
        Part("speedrun against the script", (python, "benchmarks/speedrun/compare.py", "--device", "cuda",
                                             "--json", str(out / "speedrun.json")), 90, 30, data=True),
    ]  # fmt: skip


def main() -> int:
    options = _options()
    missing = [name for name in NEEDED if _version(name) is None]
    if missing:
        print(
            f"missing packages: {', '.join(missing)} (all that are needed: {', '.join(NEEDED)})",
            file=sys.stderr,
        )
        return 2
    import torch

    if not torch.cuda.is_available():
        print("torch sees no CUDA device: there is nothing here that a CPU could show", file=sys.stderr)
        return 3
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, HARNESS_CACHE=str(out.parent / f".{out.name}-cache"), PYTHONUNBUFFERED="1")
    if options.data is not None:
        environment["HARNESS_DATA"] = str(options.data.resolve())
    has_data = (Path(environment.get("HARNESS_DATA", "")) / "cifar10").is_dir()
    begun = time.monotonic()
    ended = []
    with (out / "log.txt").open("w") as log:
        for part in parts(out):
            left = options.seconds - (time.monotonic() - begun)
            ended.append(_run(part, left, has_data, environment, log))
            print(f"{ended[-1]['name']}: {ended[-1]['status']} in {ended[-1]['seconds']:.0f} s", flush=True)
    summary = {
        "command": " ".join(sys.argv),
        "gpu": torch.cuda.get_device_name(0),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "missing_useful": [name for name in USEFUL if _version(name) is None],
        "seconds": time.monotonic() - begun,
        "parts": ended,
        "figures": _figures(out),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n")
    (out / "summary.md").write_text(_markdown(summary))
    if (out / "results").is_dir():
        with tarfile.open(out / "records.tar.gz", "w:gz") as archive:
            archive.add(
                out / "results",
                "results",
                filter=_without_locks,
            )
    print((out / "summary.md").read_text())
    statuses = {part["status"] for part in ended}
    return 0 if statuses == {"done"} else 5 if "failed" in statuses else 3


def _without_locks(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name.endswith(".lock") else member


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="the folder to write")
    parser.add_argument("--data", type=Path, help="the data root, with cifar10 in it; else HARNESS_DATA")
    parser.add_argument("--seconds", type=float, default=460, help="how long all parts may take")
    return parser.parse_args()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _run(part: Part, left: float, has_data: bool, environment: dict[str, str], log: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": part.name, "status": "done", "seconds": 0.0, "detail": ""}
    if part.data and not has_data:
        return entry | {
            "status": "left out",
            "detail": "no cifar10 under the data root (--data or HARNESS_DATA)",
        }
    if left < part.least_seconds:
        return entry | {
            "status": "left out",
            "detail": f"{left:.0f} s were left, it takes {part.least_seconds:.0f}",
        }
    log.write(f"\n== {part.name}: {' '.join(part.command)}\n")
    log.flush()
    begun = time.monotonic()
    try:
        ended = subprocess.run(part.command, cwd=ROOT, env=environment, stdout=log, stderr=log,
                               timeout=min(left, part.seconds), check=False)  # fmt: skip
        entry |= (
            {} if ended.returncode == 0 else {"status": "failed", "detail": f"exit code {ended.returncode}"}
        )
    except subprocess.TimeoutExpired:
        entry |= {"status": "failed", "detail": "ended, out of time"}
    return entry | {"seconds": time.monotonic() - begun}


def _figures(out: Path) -> dict[str, Any]:
    """Return what the boards and the comparison say, by part."""
    figures: dict[str, Any] = {}
    for board in sorted((out / "results").glob("*/leaderboard.json")):
        rows = json.loads(board.read_text())["rows"]
        figures[board.parent.name] = {row["arm"]: _row(row, rows) for row in rows}
    compared = out / "speedrun.json"
    if compared.is_file():
        figures["speedrun against the script"] = json.loads(compared.read_text())
    return figures


def _row(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    baseline = next((one for one in rows if one["baseline"]), row)
    memory, of_baseline = row["peak_memory_bytes"], baseline["peak_memory_bytes"]
    ratio = row["images_per_second_ratio"]
    return {
        "top1": row["top1"] and row["top1"]["mean"],
        "images_per_second": row["images_per_second"],
        "speed_ratio": 1.0 if row is baseline else ratio and ratio["mean"],
        "peak_memory_bytes": memory,
        "memory_ratio": memory / of_baseline if memory and of_baseline else None,
        "train_seconds": row["train_seconds"],
    }


def _markdown(summary: dict[str, Any]) -> str:
    lines = [
        f"# {summary['gpu']}, torch {summary['torch']}, Python {summary['python']}",
        "",
        f"`{summary['command']}` in {summary['seconds']:.0f} s.",
        "",
        "| part | ended | seconds | |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {p['name']} | {p['status']} | {p['seconds']:.0f} | {p['detail']} |" for p in summary["parts"]
    ]
    for name, figures in summary["figures"].items():
        lines += ["", f"## {name}", ""]
        if all(isinstance(one, dict) and "images_per_second" in one for one in figures.values()):
            lines += [
                "| arm | top-1 | images/s | speed | memory, MiB | memory | training, s |",
                "|" + " --- |" * 7,
            ]
            lines += [
                f"| {arm} | {_number(one['top1'], '.2f')} | {_number(one['images_per_second'], ',.0f')} "
                f"| {_number(one['speed_ratio'], '.2f')} | {_number(one['peak_memory_bytes'], ',.0f', 2**-20)} "
                f"| {_number(one['memory_ratio'], '.2f')} | {_number(one['train_seconds'], '.2f')} |"
                for arm, one in figures.items()
            ]
        else:
            lines += ["```json", json.dumps(figures, indent=2, sort_keys=True), "```"]
    return "\n".join(lines) + "\n"


def _number(value: float | None, form: str, scale: float = 1.0) -> str:
    return "–" if value is None else format(value * scale, form)


if __name__ == "__main__":
    sys.exit(main())
