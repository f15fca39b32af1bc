"""`harness compare`: its options and its help; what it does stands in `harness.cli.comparing`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.cli.options import Arms, AsJson, Data, Device, Jobs, Replicates, Results

ComparePaths = Annotated[
    list[Path],
    typer.Argument(
        metavar="BASE CANDIDATE | SUITE", help="Two result folders, or a suite.", show_default=False
    ),
]


def compare_command(
    paths: ComparePaths,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REVISION", help="The commit to compare with.")
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", metavar="REVISION", help="The commit to judge; else the working tree."),
    ] = None,
    results: Results = Path("results"),
    data: Data = None,
    arms: Arms = None,
    replicates: Replicates = None,
    jobs: Jobs = 0,
    device: Device = "auto",
    written: Annotated[
        Literal["terminal", "markdown", "json"], typer.Option("--format", help="What to print.")
    ] = "terminal",
    as_json: AsJson = False,
) -> None:
    """Compare two results arm by arm: the candidate's accuracy against the base's, with the verdicts of a board.

    Arms are matched by name, in two grids by their cell too, and replicates by their draws; what may not be compared
    is named, with the entries that differ. Speed and memory are shown where both were timed on one kind of machine,
    and not judged: that takes `harness gate`, which measures side by side. With --base the suite is run at both commits
    first, into DIR/compare/<commit>/<suite>; the same command again runs only what is missing.

    Every arm is compared with itself at the other commit, the baseline too: 1, 2, 4, 7 arms take 6, 7, 8, 9 replicates
    for a verdict at alpha 0.05. With --base a note says before the first trial where there are too few.

    \b
    harness compare results/before results/after
    harness compare machine-a/tricks machine-b/tricks --format markdown
    harness compare suite.toml --base main --replicates 10

    Exit codes: 0 compared, 2 usage, 3 nothing to compare, 130 interrupted.
    """
    from harness.cli import comparing

    settings = comparing.Settings(results, data, arms, replicates, jobs, device)
    raise typer.Exit(comparing.compare(paths, base, candidate, settings, "json" if as_json else written))
