"""`harness doctor`: what is here, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import harness
from harness.cli.output import say, say_json
from harness.cli.prepared_data import gigabytes, prepared_data
from harness.cli.requirements import (
    DISTRIBUTION,
    EXTRAS,
    PINS,
    differing,
    install_command,
    problem_of,
    requirements_of,
    version_of,
)
from harness.errors import HarnessError

_TORCH_SECONDS = 120.0
_LOW_DISK_BYTES = 2 * 2**30
_NO_DISK_BYTES = 50 * 2**20
"""Less than this a run of the smallest suite refuses."""
_LOW_MEMORY_BYTES = 2 * 2**30
_PYTHONS = ((3, 11), (3, 13))
_PLACES: Mapping[str, tuple[str, ...]] = {
    "cifar10": ("cifar10", "cifar-10-batches-py", "cifar-10-batches-bin"),
    "cifar100": ("cifar100", "cifar-100-python", "cifar-100-binary"),
    "mnist": ("mnist", "MNIST/raw"),
    "fashion-mnist": ("fashion-mnist", "FashionMNIST/raw"),
    "imagenet": ("imagenet",),
}
"""Where data sets of a fixed place stand under the data root; whether they are whole is for `harness check` to say."""
_TORCH = """
import json, torch
cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
names = [torch.cuda.get_device_name(number) for number in range(cards)]
print(json.dumps({"version": torch.__version__, "built_for": torch.version.cuda, "cards": names}))
"""

Status = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        group: What it belongs to.
        name: What it is.
        status: "ok"; "note" where something is missing that not everybody needs; "broken".
        text: What was found.
        fix: What to do, or empty.
    """

    group: str
    name: str
    status: Status
    text: str
    fix: str = ""


def diagnose(data: Path | None, results: Path, as_json: bool) -> int:
    """Print what is here and what is missing; return 1 where something is broken, else 0."""
    findings = list(examine(data, results))
    broken = sum(one.status == "broken" for one in findings)
    if as_json:
        say_json({"broken": broken, "findings": [asdict(one) for one in findings]})
    else:
        _show(findings)
    return 1 if broken else 0


def examine(data: Path | None, results: Path) -> Iterator[Finding]:
    """Yield what is found, group by group."""
    yield from _environment()
    yield from _torch()
    yield from _machine(results)
    yield from _data(data)
    yield from _plugins()
    yield from _extras()


def _show(findings: list[Finding]) -> None:
    from harness.board.wording import plain

    width = max(len(plain(one.name)) for one in findings)
    marks = {"ok": "✓", "note": "·", "broken": "✗"}
    group = ""
    for one in findings:
        if one.group != group:
            say(one.group if not group else f"\n{one.group}")
            group = one.group
        say(f"  {marks[one.status]} {plain(one.name):<{width}}  {plain(one.text)}")
        if one.fix:
            say(f"    {'':<{width}}  → {plain(one.fix)}")
    broken = [one for one in findings if one.status == "broken"]
    say(
        f"\n{len(broken)} broken: {', '.join(plain(one.name) for one in broken)}"
        if broken
        else "\nnothing is broken"
    )


def _environment() -> Iterator[Finding]:
    group, version = "environment", sys.version_info[:2]
    fits = _PYTHONS[0] <= version <= _PYTHONS[1]
    low, high = (".".join(map(str, one)) for one in _PYTHONS)
    yield Finding(
        group, "python", "ok" if fits else "broken", f"{platform.python_version()} on {platform.system()}",
        "" if fits else f"use a Python from {low} to {high}",
    )  # fmt: skip
    yield Finding(group, DISTRIBUTION, "ok", harness.__version__)
    bad = [text for text in map(problem_of, requirements_of("")) if text]
    yield Finding(
        group, "requirements", "broken" if bad else "ok", "; ".join(bad) or "all are installed",
        install_command("") if bad else "",
    )  # fmt: skip
    if PINS.is_file():
        found = list(differing(PINS.read_text()))
        shown = ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")
        yield Finding(
            group, "constraints.txt", "note" if found else "ok",
            f"differ from what was tried together: {shown}" if found else "as it pins them",
            install_command("") if found else "",
        )  # fmt: skip


def _torch() -> Iterator[Finding]:
    group = "devices"
    if version_of("torch") is None:
        return  # told among the requirements
    told, why = _ask_torch()
    if told is None:
        yield Finding(
            group, "torch", "broken", f"cannot be imported: {why}", "pip install --force-reinstall torch"
        )
        return
    cards = told["cards"]
    built = f"for CUDA {told['built_for']}" if told["built_for"] else "for the CPU alone"
    yield Finding(group, "torch", "ok", f"{told['version']}, built {built}")
    if cards:
        yield Finding(group, "CUDA", "ok", ", ".join(cards))
    elif Path("/dev/nvidia0").exists():
        fix = "nvidia-smi tells the driver's version; install the torch that fits it (pytorch.org)"
        yield Finding(group, "CUDA", "broken", "there is an NVIDIA device, and torch does not see it", fix)
    else:
        yield Finding(group, "CUDA", "note", "no NVIDIA device here; trials run on the CPU")


def _ask_torch() -> tuple[dict[str, Any] | None, str]:
    """Import torch in a child: it takes seconds, and what is wrong with it cannot take this process down."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TORCH],
            capture_output=True,
            text=True,
            timeout=_TORCH_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    try:
        return json.loads(done.stdout.strip().rpartition("\n")[2]), ""
    except ValueError:
        return None, done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"


def _machine(results: Path) -> Iterator[Finding]:
    from harness.record.limits import core_limit, usable_cores, usable_memory
    from harness.suite.prepare import default_cache

    group = "machine"
    set_threads = os.environ.get("OMP_NUM_THREADS")
    yield Finding(
        group, "threads", "ok", f"{usable_cores()} usable cores"
        + (f"; the control group allows {limit:.3g}" if (limit := core_limit()) is not None else "")
        + (f"; OMP_NUM_THREADS={set_threads}, which trials set for themselves" if set_threads else ""),
    )  # fmt: skip
    memory = usable_memory()
    is_less = memory.total_bytes < memory.machine_bytes
    yield Finding(
        group, "memory", "note" if memory.free_bytes < _LOW_MEMORY_BYTES else "ok",
        f"{gigabytes(memory.free_bytes)} free of {gigabytes(memory.total_bytes)}"
        + (f", the control group's limit; the machine has {gigabytes(memory.machine_bytes)}" if is_less else ""),
        "" if memory.free_bytes >= _LOW_MEMORY_BYTES else "end other programs, or run fewer trials at a time: --jobs 1",
    )  # fmt: skip
    for name, folder in (("results", results), ("cache", default_cache())):
        yield _folder(group, name, folder)
    if told := prepared_data(default_cache()):
        yield Finding(group, "prepared data", "note" if told[1] else "ok", *told)


def _folder(group: str, name: str, folder: Path) -> Finding:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(group, name, "broken", f"{folder} cannot be written to", _FOLDER_FIXES[name])
    free = shutil.disk_usage(there).free
    low = free < _LOW_DISK_BYTES
    return Finding(
        group, name, "broken" if free < _NO_DISK_BYTES else "note" if low else "ok",
        f"{gigabytes(free)} free for {folder}",
        f"make room, or {_FOLDER_FIXES[name]}" if low else "",
    )  # fmt: skip


_FOLDER_FIXES = {"results": "name another: --results DIR", "cache": "name another: HARNESS_CACHE=DIR"}


def _data(data: Path | None) -> Iterator[Finding]:
    group = "data"
    yield Finding(group, "digits", "ok", "comes with scikit-learn")
    if data is None:
        why = "none is set; suites on digits run without one"
        fix = "put data into a folder, and name it: --data DIR, or HARNESS_DATA=DIR"
        yield Finding(group, "data root", "note", why, fix)
        return
    if not data.is_dir():
        what = "is no folder" if data.exists() else "is not there"
        yield Finding(
            group, "data root", "broken", f"{data} {what}", "name another: --data DIR, or HARNESS_DATA=DIR"
        )
        return
    yield Finding(group, "data root", "ok", str(data))
    for name, places in _PLACES.items():
        place = next((one for one in places if (data / one).is_dir()), None)
        looked_for = " or ".join(places)
        yield Finding(
            group,
            name,
            "ok" if place else "note",
            place or "not there",
            "" if place else f"put it in {looked_for}",
        )
    known = {place.split("/")[0] for places in _PLACES.values() for place in places}
    others = sorted(path.name for path in data.iterdir() if path.is_dir() and path.name not in known)
    if others:
        shown = ", ".join(others[:8]) + (f" and {len(others) - 8} more" if len(others) > 8 else "")
        yield Finding(group, "other folders", "ok", f"{shown} (for image-folder, parquet, csv, shards, hub)")


def _plugins() -> Iterator[Finding]:
    from harness.cli.listing import installed

    try:
        entries = installed().entries()
    except HarnessError as error:
        yield Finding(
            "plugins", "HARNESS_PLUGINS", "broken", str(error), "unset it, or name what is installed"
        )
        return
    good = [entry for entry in entries if entry.status == "ok"]
    sources = sorted({entry.source for entry in good})
    yield Finding("plugins", "components", "ok", f"{len(good)} from {', '.join(sources) or 'nowhere'}")
    for entry in entries:
        if entry.status != "ok":
            yield Finding("plugins", entry.name, "broken", entry.summary, f"mend or remove {entry.source}")


def _extras() -> Iterator[Finding]:
    try:
        names = importlib.metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        return
    for extra in sorted(names):
        missing = [name for name, _ in requirements_of(extra) if version_of(name) is None]
        use = f" for {EXTRAS[extra]}" if extra in EXTRAS else ""
        yield Finding(
            "extras", extra, "note" if missing else "ok",
            f"missing{use}: {', '.join(missing)}" if missing else "installed",
            install_command(extra) if missing else "",
        )  # fmt: skip
