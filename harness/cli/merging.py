"""`harness merge`: the records of several machines in one folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import AsJson
from harness.cli.output import complain, say, say_json

_NOTHING_TO_MERGE = 3

IntoFolder = Annotated[
    Path, typer.Argument(metavar="INTO", help="A suite's results, or a new folder.", show_default=False)
]
FromFolders = Annotated[
    list[Path], typer.Argument(metavar="FROM...", help="Results of the same suite.", show_default=False)
]


def merge_command(
    into: IntoFolder,
    sources: FromFolders,
    weights: Annotated[
        bool, typer.Option("--weights", help="Copy the weights of trials that others need, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing, and tell what would be.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Join the records that several machines have made of one suite; `harness leaderboard` shows them.

    Records are copied as they are, and none is replaced: of several attempts at a trial the first that ended for good
    counts, whichever folder it came from. Damaged files, and records that contradict the plan, are told and left.
    Merging again changes nothing.

    \b
    harness merge results/tricks machine-b/tricks machine-c/tricks
    harness merge results/tricks machine-b/tricks --dry-run

    Exit codes: 0 done, 2 a folder is of another study or cannot be read, 3 nothing to merge.
    """
    from harness.record.merge import merge

    command = shlex.join(["harness", *sys.argv[1:]])
    told = merge(into, sources, weights=weights, dry_run=dry_run, command=command)
    if as_json:
        say_json(told)
    else:
        for line in _lines(told):
            say(line)
        for one in told["from"]:
            for file in (*one["damaged"], *one["misfits"]):
                complain(f"left: {one['folder']}: {file['path']}: {file['reason']}")
    found = any(sum((*one["copied"].values(), *one["present"].values())) for one in told["from"])
    raise typer.Exit(0 if found else _NOTHING_TO_MERGE)


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    would = "would be " if told["dry_run"] else ""
    for one in told["from"]:
        counts = ", ".join(f"{one['copied'][kind]} {kind}" for kind in ("trials", "timings"))
        parts = [f"{counts} {would}copied"]
        present = sum(one["present"].values())
        beside = sum(one["beside"].values())
        parts += [f"{present} there already"] if present else []
        parts += (
            [f"{beside} of them stand beside another record of the same attempt or round"] if beside else []
        )
        parts += [f"{one['weights']} weights"] if one["weights"] else []
        parts += (
            [f"{one['others']} trials left, of arms or replicates that are not in the plan"]
            if one["others"]
            else []
        )
        parts += [f"{one['other_timings']} timings of other plans left"] if one["other_timings"] else []
        parts += [f"{len(one['damaged'])} damaged files left"] if one["damaged"] else []
        parts += [f"{len(one['misfits'])} records that contradict the plan left"] if one["misfits"] else []
        yield f"{one['folder']}: {'; '.join(parts)}"
    if twice := told["ended_twice"]:
        yield f"{twice} trials ended for good more than once: the first that ended counts"
    if not told["dry_run"]:
        yield f"next: harness leaderboard {shlex.quote(told['into'])}"
