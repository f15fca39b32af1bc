"""`harness leaderboard`: its options and its help; what it does stands in `harness.cli.boards`."""

from __future__ import annotations

import typer

from harness.cli.options import AllowMixed, AsJson, Folder, Format


def leaderboard_command(
    folder: Folder = None,
    as_json: AsJson = False,
    allow_mixed: AllowMixed = False,
    form: Format = "terminal",
) -> None:
    """Build a leaderboard anew from plan and records; equal records give equal bytes.

    Records that may not be compared are not pooled: the largest group counts, and the board says what was left out
    (docs/verdicts.md).

    \b
    harness leaderboard results/quickstart
    harness leaderboard results/quickstart --json
    harness leaderboard results/quickstart --format latex > table.tex
    """
    if as_json and form not in ("terminal", "json"):
        raise typer.BadParameter(f"--json and --format {form} ask for two outputs; leave one of them out")
    from harness.cli import boards

    raise typer.Exit(boards.rebuild(folder, as_json, allow_mixed=allow_mixed, form=form))
