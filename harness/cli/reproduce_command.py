"""`harness reproduce`: its options and its help; what it does stands in `harness.cli.reproducing`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import AsJson, Data, Results
from harness.cli.usage import known_device

TrialId = Annotated[
    str, typer.Argument(metavar="TRIAL", help="A trial's id, or its beginning.", show_default=False)
]


def reproduce_command(
    trial: TrialId,
    results: Results = Path("results"),
    run: Annotated[
        bool, typer.Option("--run", help="Train it again, in a temporary folder, and compare.")
    ] = False,
    suite: Annotated[
        Path | None,
        typer.Option(
            "--suite", metavar="FILE", help="The suite's file, where it names plugin or weights files."
        ),
    ] = None,
    data: Data = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="NAME", help="cpu, cuda, …; else the record's.", callback=known_device
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what one trial takes to run again: commit, command, arm, replicate, recipe; --run trains it again.

    Trained again it is compared with its record: weights, outputs and accuracy, bit for bit. Bits are the same on one
    type of CPU and one build; where they are not, the distance is told, and in what the environments differ. The suite
    file is not needed unless it names plugin or weights files. Ids stand in a board's JSON and HTML.

    \b
    harness reproduce 4827ef13
    harness reproduce 4827ef13 --results results/reference --run

    Exit codes: 0 shown, or equal bit for bit; 1 not equal; 2 usage, or what it takes is not here.
    """
    from harness.cli import reproducing

    raise typer.Exit(reproducing.reproduce(trial, results, suite, data, device, run=run, as_json=as_json))
