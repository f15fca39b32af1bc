"""The commands, their options and their help; what they do stands in the modules beside this one."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import HarnessError

app = typer.Typer(
    name="harness",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_DATA_HELP = "Folder with the data sets; HARNESS_DATA where it is not given."
SuitePath = Annotated[
    Path, typer.Argument(metavar="SUITE", help="The suite file (TOML).", show_default=False)
]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where results/<suite> is kept.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", envvar="HARNESS_DATA", show_envvar=False, help=_DATA_HELP),
]
Arms = Annotated[str | None, typer.Option("--arms", metavar="A,B", help="Only these arms, and the baseline.")]
Replicates = Annotated[
    int | None, typer.Option("--replicates", metavar="N", min=1, help="So many, in place of the suite's.")
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
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:1.")]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="An arm that cannot be resolved becomes a failed row.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0, help="End a trial without progress; 0: never.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Kind = Annotated[
    str | None,
    typer.Argument(metavar="[KIND]", help="trick, augmentation, optimizer, …", show_default=False),
]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A component, as a suite names it.", show_default=False)
]
PluginFile = Annotated[Path, typer.Argument(metavar="FILE", help="A plugin file.", show_default=False)]
AlsoFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="A plugin file to look into as well.")
]
Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[RESULTS/SUITE]", help="A suite's results.", show_default=False),
]

GatePaths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="SUITE | BASE CANDIDATE", help="A suite file, or two stored results.", show_default=False
    ),
]
ReportFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="The report as JSON; - is standard output.")
]


def _version(wanted: bool) -> None:
    if wanted:
        from harness import __version__

        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def _harness(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Benchmark image-classification tricks so that the differences on the leaderboard are real.

    \b
    harness run benchmarks/suites/quickstart.toml   a suite: real trials, then the leaderboard
    harness try my_trick.py                         your plugin against the baseline, in seconds
    harness list trick                              what there is
    harness show mixup                              what it does and which parameters it takes
    harness gate suite.toml --base main             is my edit slower, larger or less accurate?

    Exit codes: 0 done, 1 a check or gate says no, 2 usage or suite error, 3 nothing to compare, 4 too noisy
    to say, 5 some trials failed, 130 interrupted.
    """
    del version


@app.command("run")
def _run(
    suite: SuitePath,
    results: Results = Path("results"),
    data: Data = None,
    arms: Arms = None,
    replicates: Replicates = None,
    jobs: Jobs = 0,
    jobs_per_device: JobsPerDevice = None,
    device: Device = "auto",
    keep_going: KeepGoing = False,
    timeout: Timeout = 600.0,
) -> None:
    """Run a suite's trials that are missing, time its arms, and build the leaderboard.

    Ctrl-C once lets the trials checkpoint, twice ends them now; the same command goes on from there. Run
    again when nothing is missing, it trains nothing and changes no file.

    \b
    harness run suite.toml
    harness run suite.toml --jobs 4 --device cpu
    harness run suite.toml --arms mixup,sam --replicates 3
    """
    from harness.cli import running

    settings = running.Settings(
        results, data, arms, replicates, jobs, device, keep_going, timeout, jobs_per_device
    )
    raise typer.Exit(running.run_suite(suite, settings))


@app.command("try")
def _try(
    file: PluginFile,
    device: Device = "auto",
    timeout: Timeout = 60.0,
) -> None:
    """Try a plugin file against the baseline on the digits: one replicate, no verdict, no file left behind.

    The file may offer tricks, augmentations, optimizers, schedules, samplers and backbones; each becomes an
    arm of its own, with its default parameters.

    \b
    harness try my_trick.py
    """
    from harness.cli import trying

    raise typer.Exit(trying.try_file(file, device, timeout))


@app.command("plan")
def _plan(
    suite: SuitePath,
    results: Results = Path("results"),
    data: Data = None,
    arms: Arms = None,
    replicates: Replicates = None,
    jobs: Jobs = 0,
    keep_going: KeepGoing = False,
    as_json: AsJson = False,
) -> None:
    """Show what `run` would do: trials, those that have a record, hours, disk, and whether verdicts are possible.

    \b
    harness plan suite.toml
    harness plan suite.toml --replicates 20 --json
    """
    from harness.cli import planning
    from harness.cli.running import Settings

    settings = Settings(results, data, arms, replicates, jobs, "auto", keep_going, 0.0)
    raise typer.Exit(planning.show_plan(suite, settings, as_json))


@app.command("check")
def _check(
    suite: SuitePath,
    data: Data = None,
    arms: Arms = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Build every arm and run one step of it on fake data; exit 1 where one does not work.

    \b
    harness check suite.toml
    """
    from harness.cli import checking

    raise typer.Exit(checking.check_suite(suite, data, arms, device, as_json))


@app.command("list")
def _list(kind: Kind = None, as_json: AsJson = False) -> None:
    """List what is installed, broken plugins included.

    \b
    harness list
    harness list augmentation
    harness list --json
    """
    from harness.cli import listing

    raise typer.Exit(listing.list_entries(kind, as_json))


@app.command("show")
def _show(name: Name, file: AlsoFile = None, as_json: AsJson = False) -> None:
    """Show a component: what it does, its paper, its parameters with types, ranges and defaults.

    \b
    harness show mixup
    harness show toy-dist/shake
    """
    from harness.cli import listing

    raise typer.Exit(listing.show(name, file, as_json))


@app.command("leaderboard")
def _leaderboard(folder: Folder = None, as_json: AsJson = False) -> None:
    """Build a leaderboard anew from plan and records; equal records give equal bytes.

    \b
    harness leaderboard results/quickstart
    harness leaderboard results/quickstart --json
    """
    from harness.cli import boards

    raise typer.Exit(boards.rebuild(folder, as_json))


@app.command("gate")
def _gate(
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
            "--rounds", metavar="N", help="So many and no more; else 10, and up to 40 where noise asks."
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
        typer.Option(
            "--history", metavar="FOLDER", help="Enter the report there, a file per kind of machine."
        ),
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


@app.command("schema")
def _schema() -> None:
    """Print the JSON schema of suite files, the installed plugins in it, for completion in an editor.

    \b
    harness schema > suite.schema.json
    """
    from harness.cli import listing

    raise typer.Exit(listing.schema())


def main() -> None:
    """Run the command line and exit."""
    warnings.showwarning = _show_warning
    code = 0
    try:
        app()
    except HarnessError as error:
        from harness.cli.output import complain

        complain(str(error))
        code = error.exit_code
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 0
    try:
        sys.stdout.flush()
    except OSError:
        # `| head` has what it wanted; without this the interpreter would complain as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from harness.cli.output import complain

    complain(f"warning: {message}")
