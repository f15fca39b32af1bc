"""Files with hostile names in a results folder: the board is built, and says what it left out."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

REFERENCE = sorted(
    path.parent.parent
    for path in (Path(__file__).parents[2] / "results" / "reference").glob("*/plans/latest")
)
NAMES = [
    b"\xff\x1b[31m.json",
    b"<img src=x onerror=alert(1)>.json",
    "\u202e|`=1+1.json".encode(),
    b"a\nb.json",
]


@pytest.mark.skipif(sys.platform != "linux", reason="such names are Linux's")
def test_files_with_hostile_names_are_set_aside_and_shown(harness, tmp_path):
    folder = Path(shutil.copytree(REFERENCE[0], tmp_path / "suite", symlinks=True))
    trial = sorted((folder / "trials").iterdir())[0]
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(trial) + b"/" + name)).write_text("{")
    for _ in range(2):  # the second time from what the first remembered, if it did
        done = harness("leaderboard", folder)
        assert done.returncode == 0, done.stderr
        assert not {c for c in done.stdout + done.stderr if not c.isprintable()} - {"\n"}
    board = json.loads((folder / "leaderboard.json").read_text())
    assert len(board["set_aside"]) == len(NAMES)
    assert any("\\xff\x1b[31m" in one["path"] for one in board["set_aside"])
    for ending in ("md", "csv", "json", "tex", "html"):
        text = (folder / f"leaderboard.{ending}").read_text()
        assert not {c for c in text if not c.isprintable()} - {"\n"}, ending
        assert "<img src=x" not in text or ending == "json"
