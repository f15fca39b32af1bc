"""Where and with what a trial ran: host, libraries, code and session. Torch is not imported for it.

What decides accuracy is kept apart from what decides speed, because records may be comparable in the one
and not in the other; what is only shown stands apart from both.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import harness
from harness.registry.digests import digest_bytes, digest_json
from harness.registry.source_digests import text_digest

_LIBRARIES = (
    "harness-bench",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "pyarrow",
    "safetensors",
    "nvidia-cuda-runtime",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
)
_ENVIRONMENT = re.compile(
    r"(HARNESS|OMP|MKL|KMP|OPENBLAS|GOMP|CUDA|CUBLAS|CUDNN|NVIDIA|NCCL|TORCH|PYTORCH|PYTHON)"
)
_SECRET = re.compile(r"key|token|secret|passw|credential|auth|private|signature", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"^(gh[pousr]_|github_pat_|hf_|sk-|xox[abp]-|AKIA|eyJ)\S+|://[^/\s:@]+:[^/\s@]+@")
_MASK = "(masked)"


def libraries() -> dict[str, str]:
    """Return the installed versions of the libraries that a result can depend on."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def host() -> dict[str, Any]:
    """Return the machine: `accuracy`, `speed` and `shown`.

    `accuracy` holds what may change a result's bits, `speed` what may change its time besides, `shown`
    what is no part of any identity (the host name is hashed).
    """
    graphics, driver = _graphics()
    system = {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()}
    return {
        "accuracy": {
            **system,
            "cpu": _cpu_model(),
            "gpu": sorted({card["model"] for card in graphics}),
            "libraries": libraries(),
        },
        "speed": {
            "cores": os.cpu_count(),
            "usable_cores": len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "gpus": graphics,
            "driver": driver,
            "kernel": platform.release(),
        },
        "shown": {"host": digest_bytes(socket.gethostname().encode())[:12]},
    }


@cache
def code() -> dict[str, Any]:
    """Return the harness's own state: version, digest of what decides a trial, and git where it is a checkout.

    The suite file that the command line names is part of it where it lies in the checkout: one that no commit holds
    cannot be run again from the commit.
    """
    package = Path(harness.__file__).parent
    state: dict[str, Any] = {"version": harness.__version__, "engine": _engine_digest(package)}
    root = package.parent
    if not (root / ".git").exists():
        return {**state, "commit": None, "dirty": None, "diff": None}
    suites = _suite_files(sys.argv, root)
    sources = ("--", "harness", "plugins")
    diff = _output("git", "-C", str(root), "diff", "HEAD", *sources, *suites)
    untracked = _output("git", "-C", str(root), "ls-files", "--others", "--exclude-standard", *sources)
    if suites:  # one that git ignores is in no commit either
        untracked += _output("git", "-C", str(root), "ls-files", "--others", "--", *suites)
    dirty = bool(diff or untracked)
    new = {
        name: digest_bytes((root / name).read_bytes())
        for name in untracked.splitlines()
        if (root / name).is_file()
    }
    return {
        **state,
        "commit": _output("git", "-C", str(root), "rev-parse", "HEAD").strip() or None,
        "dirty": dirty,
        "diff": digest_json({"diff": diff, "untracked": new}) if dirty else None,
    }


def session(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the command line and the settings in the environment, without anything that looks secret."""
    given = _program(sys.argv if arguments is None else arguments)
    variables = os.environ if environment is None else environment
    kept = {
        name: _masked(name, value) for name, value in sorted(variables.items()) if _ENVIRONMENT.match(name)
    }
    return {"command": shlex.join(_masked_arguments(given)), "environment": kept}


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """Return the values of the environment that look secret by their names, the longest first; short ones are words."""
    found = {value for name, value in environment.items() if _SECRET.search(name) and len(value) >= 8}
    return sorted(found, key=lambda value: (-len(value), value))


def _program(arguments: Sequence[str]) -> list[str]:
    """Return a command line as anybody types it: the program by its name, not by where it lies on this machine."""
    if not arguments:
        return []
    name = Path(arguments[0]).name
    return [*(["python", "-m", "harness"] if name == "__main__.py" else [name]), *arguments[1:]]


def _masked_arguments(arguments: Sequence[str]) -> list[str]:
    shown: list[str] = []
    secret_follows = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if secret_follows:
            shown.append(_MASK)
        elif equals:
            shown.append(f"{name}={_masked(name, value)}")
        else:
            shown.append(_masked("", argument))
        secret_follows = not equals and argument.startswith("-") and bool(_SECRET.search(argument))
    return shown


def _masked(name: str, value: str) -> str:
    return _MASK if _SECRET.search(name) or _SECRET_VALUE.search(value) else value


def _suite_files(arguments: Sequence[str], root: Path) -> list[str]:
    """Return the suite files among the arguments that lie under `root`, as paths from there."""
    paths = [Path(argument).resolve() for argument in arguments[1:] if argument.endswith(".toml")]
    return sorted(
        {
            path.relative_to(root.resolve()).as_posix()
            for path in paths
            if path.is_relative_to(root.resolve()) and path.is_file()
        }
    )


def _engine_digest(package: Path) -> str:
    paths = sorted(path for part in ("contract", "engine") for path in (package / part).rglob("*.py"))
    return digest_json(
        {path.relative_to(package).as_posix(): text_digest(path.read_bytes()) for path in paths}
    )


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor()


def _graphics() -> tuple[list[dict[str, Any]], str | None]:
    """Return model, memory and power cap of each visible NVIDIA card, and the driver's version."""
    if not Path("/dev/nvidia0").exists():
        return [], None
    wanted = "name,memory.total,driver_version,power.limit"
    return _cards(_output("nvidia-smi", f"--query-gpu={wanted}", "--format=csv,noheader,nounits"))


def _cards(text: str) -> tuple[list[dict[str, Any]], str | None]:
    """Read what `nvidia-smi` says; a number that a card does not tell (`[N/A]`) is null."""
    rows = [[part.strip() for part in line.split(",")] for line in text.splitlines() if line.count(",") == 3]
    cards = [
        {"model": name, "memory_mib": _whole(size), "power_limit_watts": _whole(power)}
        for name, size, _, power in rows
    ]
    return cards, rows[0][2] if rows else None


def _whole(text: str) -> int | None:
    try:
        return round(float(text))
    except ValueError:
        return None


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, errors="replace", check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
