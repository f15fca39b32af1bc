"""`harness run`: its options and its help; what it does stands in `harness.cli.running`."""

from __future__ import annotations

from pathlib import Path

import typer

from harness.cli.options import (
    AllowMixed,
    Arms,
    Data,
    Device,
    Jobs,
    JobsPerDevice,
    KeepGoing,
    Replicates,
    Results,
    SuitePath,
    Timeout,
)


def run_command(
    suite: SuitePath,
    results: Results = Path("results"),
    data: Data = None,
    arms: Arms = None,
    replicates: Replicates = None,
    jobs: Jobs = 0,
    jobs_per_device: JobsPerDevice = None,
    device: Device = "auto",
    keep_going: KeepGoing = False,
    timeout: Timeout = 600.0,
    allow_mixed: AllowMixed = False,
) -> None:
    """Run a suite's trials that are missing, time its arms, and build the leaderboard.

    Ctrl-C once lets the trials checkpoint, twice ends them now; the same command goes on from there. Run
    again when nothing is missing, it trains nothing and changes no file.

    \b
    harness run suite.toml
    harness run suite.toml --jobs 4 --device cpu
    harness run suite.toml --arms mixup,sam --replicates 3
    """
    from harness.cli import running

    settings = running.Settings(
        results, data, arms, replicates, jobs, device, keep_going, timeout, jobs_per_device, allow_mixed
    )
    raise typer.Exit(running.run_suite(suite, settings))
