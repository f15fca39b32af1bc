"""Standard sets brought by torchvision, where a suite says so."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

DOWNLOAD = """
import sys
from torchvision import datasets
for train in (True, False):
    getattr(datasets, sys.argv[1])(sys.argv[2], train=train, download=True)
"""


def download(name: str, folder: Path, made: str) -> None:
    """Have torchvision download and unpack one of its sets, and check its digests.

    In a process of its own: torchvision imports torch, which the process that prepares data must not. Of several
    that want the set one brings it and the others wait; half of it is never to be seen.

    Args:
        name: The name of the class in `torchvision.datasets`.
        folder: Where the set goes; made where it is not there.
        made: The name of the folder that torchvision unpacks the set into.

    Raises:
        OSError: With the last line of what torchvision said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{made}.partial"
    with (folder / f".{made}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / made).exists():
            return  # brought while this one waited
        shutil.rmtree(partial, ignore_errors=True)  # what a crash left
        partial.mkdir()
        try:
            done = subprocess.run(
                [sys.executable, "-c", DOWNLOAD, name, str(partial)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
                raise OSError(
                    f"torchvision could not download {name} into {folder}: {said[-1]}; put the files there by hand"
                )
            (partial / made).rename(folder / made)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
