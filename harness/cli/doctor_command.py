"""`harness doctor`: its options and its help; what it does stands in `harness.cli.doctor`."""

from __future__ import annotations

from pathlib import Path

import typer

from harness.cli.options import AsJson, Data, Results


def doctor_command(data: Data = None, results: Results = Path("results"), as_json: AsJson = False) -> None:
    """Look at the environment, devices, data and plugins; say what is missing and how to get it.

    Exits with 1 where something is broken, with 0 where only something optional is missing.

    \b
    harness doctor
    harness doctor --data /data --json
    """
    from harness.cli import doctor

    raise typer.Exit(doctor.diagnose(data, results, as_json))
