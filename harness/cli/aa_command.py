"""`harness aa`: its options and its help; what it does stands in `harness.cli.calibrating`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Data, Device, Jobs, JobsPerDevice, Replicates, Results, SuitePath, Timeout

Copies = Annotated[
    int, typer.Option("--copies", metavar="N", min=1, max=1000, help="Copies of the baseline.")
]
Rounds = Annotated[
    int | None,
    typer.Option(
        "--rounds", metavar="N", min=0, help="Timing rounds, in place of the suite's; 0: accuracy alone."
    ),
]


def aa_command(
    suite: SuitePath,
    copies: Copies = 20,
    results: Results = Path("results"),
    data: Data = None,
    replicates: Replicates = None,
    rounds: Rounds = None,
    jobs: Jobs = 0,
    jobs_per_device: JobsPerDevice = None,
    device: Device = "auto",
    timeout: Timeout = 600.0,
) -> None:
    """Run copies of a suite's baseline beside it: how many does the harness call better or worse?

    A copy differs from the baseline in nothing but its random streams, so none is. The results go to
    DIR/<suite>-aa. Exits with 0 where the copies stay within what chance allows and runs split by time, slot and
    device do not differ, else with 1.

    \b
    harness aa suite.toml
    harness aa suite.toml --copies 5 --rounds 0
    """
    from harness.cli import calibrating
    from harness.cli.running import Settings

    settings = Settings(
        results, data, None, replicates, jobs, device, False, timeout, jobs_per_device=jobs_per_device
    )
    raise typer.Exit(calibrating.calibrate(suite, settings, copies, rounds))
