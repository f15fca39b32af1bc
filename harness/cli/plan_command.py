"""`harness plan`: its options and its help; what it does stands in `harness.cli.planning`."""

from __future__ import annotations

from pathlib import Path

import typer

from harness.cli.options import (
    Arms,
    AsJson,
    Data,
    Jobs,
    KeepGoing,
    Probe,
    Replicates,
    Resolve,
    Results,
    SuitePath,
)


def plan_command(
    suite: SuitePath,
    results: Results = Path("results"),
    data: Data = None,
    arms: Arms = None,
    replicates: Replicates = None,
    jobs: Jobs = 0,
    keep_going: KeepGoing = False,
    resolve: Resolve = None,
    probe: Probe = False,
    as_json: AsJson = False,
) -> None:
    """Show what `run` would do: trials, those that have a record, hours, memory, disk, and what it could resolve.

    Hours and memory come from earlier records of like trials under DIR, or from a probe. The smallest difference
    is that which the plan finds with 80 % power.

    \b
    harness plan suite.toml
    harness plan suite.toml --resolve 0.5
    harness plan suite.toml --replicates 20 --probe --json
    """
    from harness.cli import planning
    from harness.cli.running import Settings

    settings = Settings(results, data, arms, replicates, jobs, "auto", keep_going, 0.0)
    raise typer.Exit(planning.show_plan(suite, settings, as_json, resolve, probe))
