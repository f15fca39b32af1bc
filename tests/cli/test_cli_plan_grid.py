"""`harness plan` as a command: grids, the probe, JSON."""

import json

import pytest

GRID = """
[grid]
batch_size = [32, 50]
"""


def test_a_grid_is_shown_by_cell_and_its_arms_are_picked(harness, suite_text, tmp_path):
    (tmp_path / "s.toml").write_text(suite_text.replace("replicates = 1", "replicates = 7") + GRID)
    told = json.loads(harness("plan", "s.toml", "--json", cwd=tmp_path).stdout)
    assert [(arm["name"], arm["cell"], arm["baseline"]) for arm in told["arms"]] == [
        ("plain", {"batch_size": 32}, True),
        ("smooth", {"batch_size": 32}, False),
        ("plain.1", {"batch_size": 50}, True),
        ("smooth.1", {"batch_size": 50}, False),
    ]
    assert told["trials"] == 28 and told["needed_replicates"] == 7
    assert told["hours"] is None and told["memory"] == {"host_bytes": None, "device_bytes": None}
    assert told["resolution"]["in_deviations"] > 1 and told["resolution"]["points"] is None
    done = harness("plan", "s.toml", "--arms", "smooth.1", "--resolve", "1", cwd=tmp_path)
    assert done.returncode == 0 and not done.torch
    assert "smooth.1 (batch_size 50)" in done.stdout and "smooth (" not in done.stdout
    assert "to resolve 1 points: unknown" in done.stdout


def test_a_grid_of_a_billion_arms_is_counted_and_refused(harness, suite_text, tmp_path):
    rows = "".join(
        f'"{key}" = {list(range(1, 1001))}\n' for key in ("batch_size", "budget.epochs", "optimizer.lr")
    )
    (tmp_path / "s.toml").write_text(f"{suite_text}[grid]\n{rows}")
    done = harness("plan", "s.toml", cwd=tmp_path)
    assert done.returncode == 2 and not done.stdout
    assert "2,000,000,000 arms, 2,000,000,000 trials" in done.stderr and "at most 10,000" in done.stderr
    # 2e9 seconds, and 20 KB each; what a trial of it would take is not known, and no such hours are told.
    told = "(at a second a trial, one at a time, 555,556 h; about 40,000.0 GB of records)"
    assert told in done.stderr


def test_a_probe_tells_time_and_memory_before_the_first_trial(harness, suite_text, tmp_path):
    (tmp_path / "s.toml").write_text(suite_text)
    done = harness("plan", "s.toml", "--arms", "plain", "--probe", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    (arm,) = told["arms"]
    assert arm["cost"]["source"] == "probe" and 0 < arm["cost"]["seconds"] < 120
    assert told["hours"] > 0 and told["memory"]["host_bytes"] > 10**7
    trials = told["missing"] * arm["cost"]["seconds"] / told["jobs"] / 3600
    assert told["hours"] == pytest.approx(trials + told["timing_hours"])
    assert told["timing_hours"] > 0 and told["timings_missing"] == told["timings"] > 0
    # 20 KB for each trial, 4 KB for each timing, and the checkpoints of a model of some thousand parameters.
    written = 20_000 * told["missing"] + 4_000 * told["timings"]
    assert written < told["disk_bytes"] < written + 1e6
    assert not (tmp_path / "results").exists()
