"""Standard sets brought by torchvision, where a suite says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOWNLOAD = """
import sys
from torchvision import datasets
for train in (True, False):
    getattr(datasets, sys.argv[1])(sys.argv[2], train=train, download=True)
"""


def download(name: str, folder: Path) -> None:
    """Have torchvision download and unpack one of its sets, and check its digests.

    In a process of its own: torchvision imports torch, which the process that prepares data must not.

    Args:
        name: The name of the class in `torchvision.datasets`.
        folder: Its `root`; made where it is not there.

    Raises:
        OSError: With the last line of what torchvision said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD, name, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise OSError(
            f"torchvision could not download {name} into {folder}: {said[-1]}; put the files there by hand"
        )
