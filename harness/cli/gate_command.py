"""The command `gate`: its options and its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Data, Device, Timeout

GatePaths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="SUITE | BASE CANDIDATE", help="A suite file, or two stored results.", show_default=False
    ),
]
ReportFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="The report as JSON; - is standard output.")
]


def gate_command(
    paths: GatePaths = None,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="REVISION", help="The commit to compare with: main, HEAD~1, …"),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", metavar="REVISION", help="The commit to judge; else the working tree."),
    ] = None,
    arms: Annotated[
        str | None, typer.Option("--arms", metavar="A,B", help="Only these arms; else all of the suite's.")
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds", metavar="N", help="So many and no more; else 10, and up to 80 where noise asks."
        ),
    ] = None,
    accuracy: Annotated[
        int,
        typer.Option(
            "--accuracy", metavar="N", min=0, help="Train N replicates a side too; 0: speed and memory."
        ),
    ] = 0,
    margin: Annotated[
        float | None,
        typer.Option("--margin", metavar="POINTS", min=0, help="Loss of accuracy that matters; else 0.5."),
    ] = None,
    data: Data = None,
    device: Device = "auto",
    timeout: Timeout = 600.0,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="DIR", help="Enter the report there, a file per kind of machine."),
    ] = None,
    json: ReportFile = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="The same as JUnit XML.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="The same as Markdown.")
    ] = None,
) -> None:
    """Compare two states of the code: is the candidate slower, larger, or less accurate?

    Both are run interleaved on this machine, a fresh process a sample, each with its own tree's code; a hit is
    measured again before it fails. Two stored results are compared too, but that is advisory. docs/gates.md
    says how to read a report, and has a ready GitHub Action and GitLab job.

    \b
    harness gate suite.toml --base main                       your edits against main
    harness gate suite.toml --base HEAD~1 --candidate HEAD    two commits
    harness gate suite.toml --base main --accuracy 10         accuracy as well
    harness gate old/quickstart results/quickstart            two result folders
    harness gate old.json new.json                            two pytest-benchmark files
    harness gate --history gates                              what was measured so far, and its drifts

    Exit codes: 0 fine, 1 a regression, 2 usage, 3 nothing measured or not comparable, 4 too noisy to say,
    5 a sample failed, 130 interrupted.
    """
    from harness.cli import gating

    settings = gating.Settings(
        base, candidate, rounds, arms, accuracy, margin, data, device, timeout, history, json, junit, markdown
    )
    raise typer.Exit(gating.gate(paths or [], settings))
