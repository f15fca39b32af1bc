"""The arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.cli.suggestions import suggest_arms, suggest_components, suggest_devices, suggest_kinds
from harness.cli.usage import known_device


def _above_zero(points: float | None) -> float | None:
    """Refuse a difference that is none, or that no accuracies have: no number of replicates tells it."""
    if points is not None and not 0 < points <= 100:
        raise typer.BadParameter(f"must be more than 0 and at most 100 points, not {points:g}")
    return points


_DATA_HELP = "Folder with the data sets; HARNESS_DATA where it is not given."
SuitePath = Annotated[
    Path, typer.Argument(metavar="SUITE", help="The suite file (TOML).", show_default=False)
]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where results/<suite> is kept.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", envvar="HARNESS_DATA", show_envvar=False, help=_DATA_HELP),
]
Arms = Annotated[
    str | None,
    typer.Option(
        "--arms",
        metavar="A,B",
        help="Only these arms, what they need, and the baseline.",
        autocompletion=suggest_arms,
    ),
]
Replicates = Annotated[
    int | None, typer.Option("--replicates", metavar="N", min=1, help="So many, in place of the suite's.")
]
Resolve = Annotated[
    float | None,
    typer.Option(
        "--resolve",
        metavar="POINTS",
        callback=_above_zero,
        show_default=False,
        help="Say how many replicates a difference of so many points takes.",
    ),
]
Probe = Annotated[
    bool, typer.Option("--probe", help="Time some steps of each arm that has no record, one after another.")
]
Samples = Annotated[
    int, typer.Option("--samples", metavar="N", min=1, max=32, help="Samples in a picture, at the most 32.")
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", metavar="N", min=0, help="Trials at a time; 0: as many as cores, or GPUs."),
]
JobsPerDevice = Annotated[
    int | None,
    typer.Option(
        "--jobs-per-device",
        metavar="N",
        min=0,
        show_default=False,
        help="Trials at a time on one GPU (1); 0: as many as fit, by the memory of the first one.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda or cuda:1.",
        autocompletion=suggest_devices,
        callback=known_device,
    ),
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="An arm that cannot be resolved becomes a failed row.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0, help="End a trial without progress; 0: never.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Format = Annotated[
    Literal["terminal", "markdown", "latex", "csv", "json", "model-index", "html"],
    typer.Option(
        "--format", help="What to print; model-index: a block for each arm's card on the Hugging Face hub."
    ),
]
AllowMixed = Annotated[
    bool,
    typer.Option(
        "--allow-mixed", help="Pool records of unlike data, code or machines; the board is stamped."
    ),
]
Kind = Annotated[
    str | None,
    typer.Argument(
        metavar="KIND",
        help="trick, augmentation, optimizer, …",
        show_default=False,
        autocompletion=suggest_kinds,
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A component, as a suite names it.",
        show_default=False,
        autocompletion=suggest_components,
    ),
]
PluginFile = Annotated[Path, typer.Argument(metavar="FILE", help="A plugin file.", show_default=False)]
AlsoFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="A plugin file to look into as well.")
]
Folder = Annotated[
    Path | None,
    typer.Argument(metavar="RESULTS/SUITE", help="A suite's results.", show_default=False),
]
