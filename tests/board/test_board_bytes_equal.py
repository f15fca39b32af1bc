"""Equal records give equal bytes in every format, whatever the hash seed, the locale, the time zone, the file order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.board import leaderboard
from harness.board.leaderboard import build
from harness.board.write import write
from harness.record.plans import plan_hash
from harness.record.record import canonical, seal
from harness.record.store import Store

PROGRAM = """
import os, sys
from pathlib import Path
turned = sys.argv[2] == "turned"
names = os.listdir
os.listdir = lambda path=".": sorted(names(path), reverse=turned)
from rich.console import Console
from harness.board import render
from harness.board.leaderboard import build
from harness.record.store import Store
from harness.registry.digests import digest_bytes
store = Store(Path(sys.argv[1]))
plan = store.read_plan()
reading = store.read_flat(plan) if sys.argv[3] == "flat" else store.read(plan)
if turned:
    reading.records.reverse()
    reading.timings.reverse()
    reading.set_aside.reverse()
board = build(plan, reading.records, reading.timings, reading.set_aside, shared=reading.shared)
formats = sorted(name for name in render.__all__ if name != "terminal")
for name in formats:
    print(name, digest_bytes(getattr(render, name)(board).encode()))
console = Console(width=100, force_terminal=False, color_system=None, legacy_windows=False)
with console.capture() as capture:
    console.print(render.terminal(board))
print("terminal", digest_bytes(capture.get().encode()))
"""


def write_folder(root: Path, given: Any) -> None:
    """Write a results folder; what the records refer to stands in `shared`, and one record is torn."""
    for entry in (*given.plan["trials"], *given.records):
        key = "id" if "id" in entry else "trial"
        entry[key] = entry[key].replace("/", "-")
    given.plan["claims"] = [
        {
            "name": "a gains",
            "source": "s",
            "arm": "a",
            "against": "plain",
            "metric": "top1",
            "unit": "points",
            "claimed": 1.0,
            "testable": None,
        }
    ]
    given.plan["hash"] = plan_hash(given.plan)
    store = Store(root)
    store.write_plan(given.plan)
    hashes = {name: store.share(value) for name, value in given.shared.items()}
    recipes = {arm["name"]: store.share(arm["recipe"]) for arm in given.plan["arms"]}
    manifest = store.share(given.plan["manifests"]["m"])
    for record in given.records:
        record["plan"] = given.plan["hash"]
        record["refs"] = {key: hashes.get(name) for key, name in record["refs"].items()}
        record["refs"] |= {"recipe": recipes[record["arm"]], "manifest": manifest}
        test = record["results"]["test"]
        wrong = [(899 - round(test["top1"] * 8.99)) // 9] * 9
        test["class_correct"] = [99 - one for one in wrong] + [8]
        test["reliability"] = {"count": [400, 499], "correct": [300, 480], "confidence": [310.5, 470.25]}
        store.write_trial(seal(record))
    for timing in given.timings:
        timing |= {"refs": {"host": hashes["host"]}, "plan": given.plan["hash"], "suite": given.plan["suite"]}
        path = store.timing_path(given.plan["hash"], timing["round"], timing["arm"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(canonical(seal({"schema": 1, **timing})))
    torn = store.trial_folder("b-3") / "0.json"
    torn.write_bytes(torn.read_bytes()[:100])


SURROUNDINGS = {
    "as it is": ({"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC"}, "straight", "whole"),
    "another hash seed, zone, locale": (
        {"PYTHONHASHSEED": "4711", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu"},
        "straight",
        "whole",
    ),
    "files the other way round": ({"PYTHONHASHSEED": "random", "TZ": "America/St_Johns"}, "turned", "whole"),
    "flat records": ({"PYTHONHASHSEED": "7", "PYTHONUTF8": "1"}, "turned", "flat"),
}


@pytest.fixture
def folder(inputs: Any, tmp_path: Path) -> Path:
    write_folder(tmp_path / "s", inputs({"plain": 0.0, "a": 1.0, "b": -1.0, "c": 0.1}, 8, epochs=6))
    return tmp_path / "s"


def test_every_format_is_the_same_bytes_in_any_surroundings(folder: Path) -> None:
    told = {}
    for name, (environment, order, kind) in SURROUNDINGS.items():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(folder), order, kind],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told[name] = done.stdout.splitlines()
    assert len(told["as it is"]) >= 7
    for name, lines in told.items():
        assert lines == told["as it is"], name


@pytest.mark.skipif(sys.platform != "linux", reason="one process alone builds elsewhere")
def test_a_board_made_by_two_processes_is_the_same(
    inputs: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = inputs({"plain": 0.0, "mixup": 0.6, "sam": -0.3}, replicates=70)
    alone = build(given.plan, given.records, given.timings, shared=given.shared)
    forked = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forked.append(1) or fork())
    monkeypatch.setattr("threading.active_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(leaderboard, "MANY", 1)
    assert build(given.plan, given.records, given.timings, shared=given.shared) == alone
    files = [path.read_bytes() for path in write(alone, tmp_path / "alone")]
    monkeypatch.setattr(
        sys.modules["harness.board.write"], "MANY", 1
    )  # the package has the function by this name
    assert [path.read_bytes() for path in write(alone, tmp_path / "both")] == files
    assert forked == [1, 1]
