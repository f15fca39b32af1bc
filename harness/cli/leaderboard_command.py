"""`harness leaderboard`: its options and its help; what it does stands in `harness.cli.boards`."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import AllowMixed, AsJson, Folder, Format

ModelArm = Annotated[
    str | None,
    typer.Option(
        "--arm",
        metavar="NAME",
        show_default=False,
        help="With --format model-index: the block of this arm alone.",
    ),
]


def leaderboard_command(
    folder: Folder = None,
    as_json: AsJson = False,
    allow_mixed: AllowMixed = False,
    form: Format = "terminal",
    arm: ModelArm = None,
) -> None:
    """Build a leaderboard anew from plan and records; equal records give equal bytes.

    Records that may not be compared are not pooled: the largest group counts, and the board says what was left out
    (docs/verdicts.md).

    \b
    harness leaderboard results/quickstart
    harness leaderboard results/quickstart --json
    harness leaderboard results/quickstart --format latex > table.tex
    harness leaderboard results/quickstart --format model-index --arm sam
    """
    if as_json and form not in ("terminal", "json"):
        raise typer.BadParameter(f"--json and --format {form} ask for two outputs; leave one of them out")
    if arm is not None and form != "model-index":
        raise typer.BadParameter("--arm picks a block of --format model-index; add that, or leave --arm out")
    from harness.cli import boards

    raise typer.Exit(boards.rebuild(folder, as_json, allow_mixed=allow_mixed, form=form, arm=arm))
