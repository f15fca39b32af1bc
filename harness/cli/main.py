"""The commands, their options and their help; what they do stands in the modules beside this one."""

from __future__ import annotations

import errno
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.aa_command import aa_command
from harness.cli.compare_command import compare_command
from harness.cli.completion import answer_shell, completion_command
from harness.cli.doctor_command import doctor_command
from harness.cli.gate_command import gate_command
from harness.cli.leaderboard_command import leaderboard_command
from harness.cli.merging import merge_command
from harness.cli.options import (
    AlsoFile,
    Arms,
    AsJson,
    Data,
    Device,
    Kind,
    Name,
    PluginFile,
    Results,
    Samples,
    SuitePath,
    Timeout,
)
from harness.cli.plan_command import plan_command
from harness.cli.reproduce_command import reproduce_command
from harness.cli.run_command import run_command
from harness.cli.usage import Commands
from harness.errors import HarnessError

app = typer.Typer(
    name="harness",
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


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
    harness plan suite.toml --resolve 0.5           what it takes to tell half a point
    harness show mixup                              what it does, its parameters, its effect so far
    harness aa suite.toml                           copies of the baseline: is any called different?
    harness gate suite.toml --base main             is my edit slower, larger or less accurate?

    Exit codes: 0 done, 1 a check or gate says no, 2 usage or suite error, 3 nothing to compare, 4 too noisy
    to say, 5 some trials failed, 130 interrupted.
    """
    del version


app.command("run", short_help="Run what is missing of a suite, and build its leaderboard.")(run_command)


@app.command("try", short_help="Try a plugin file against the baseline on the digits.")
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


app.command("plan", short_help="Show what `run` would do, and what it could resolve.")(plan_command)


@app.command("check", short_help="Build every arm and take one step on fake data.")
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


@app.command("preview", short_help="Show what each arm's augmentations do to the images.")
def _preview(
    suite: SuitePath,
    results: Results = Path("results"),
    data: Data = None,
    arms: Arms = None,
    samples: Samples = 8,
) -> None:
    """Show what each arm's augmentations do: samples before and after, and how far each moves the data.

    Writes DIR/<suite>/preview: a picture for each arm, index.html, and preview.json with the Wasserstein
    distance of pixel and feature statistics for each class. The leaderboard's HTML shows them from then on.
    Nothing is trained; the same suite gives the same bytes. Exits with 3 where no arm has an augmentation.

    \b
    harness preview suite.toml
    harness preview suite.toml --arms mixup,cutout --samples 12
    """
    from harness.cli import previewing

    raise typer.Exit(previewing.preview_suite(suite, results, data, arms, samples))


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


@app.command("show", short_help="Show a component: its paper, parameters and effect.")
def _show(
    name: Name, file: AlsoFile = None, results: Results = Path("results"), as_json: AsJson = False
) -> None:
    """Show a component: what it does, its paper, when not to use it, and its parameters with ranges and defaults.

    Where a board under DIR has an arm that differs from its baseline by this component alone, the newest
    such effect is shown with its interval and verdict.

    \b
    harness show mixup
    harness show mixup --results results/reference
    harness show toy-dist/shake
    """
    from harness.cli import listing

    raise typer.Exit(listing.show(name, file, results, as_json))


app.command("leaderboard", short_help="Build a leaderboard anew from plan and records.")(leaderboard_command)
app.command("compare", short_help="Compare two results, or two commits, arm by arm.")(compare_command)
app.command("merge", short_help="Join what several machines have made of one suite.")(merge_command)
app.command("reproduce", short_help="Show what one trial takes to run again, or run it.")(reproduce_command)
app.command("aa", short_help="Run copies of the baseline: is any called different?")(aa_command)
app.command("gate", short_help="Compare two states of the code: slower? less accurate?")(gate_command)
app.command("doctor", short_help="Look at environment, devices, data and plugins.")(doctor_command)
app.command("completion", short_help="Print the script that completes commands in a shell.")(
    completion_command
)


@app.command("schema", short_help="Print the JSON schema of suite files.")
def _schema() -> None:
    """Print the JSON schema of suite files, the installed plugins in it, for completion in an editor.

    \b
    harness schema > suite.schema.json
    """
    from harness.cli import listing

    raise typer.Exit(listing.schema())


_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE)
"""What a write to a stream that takes no more fails with."""


def main() -> None:
    """Run the command line and exit."""
    from harness.cli.output import code_of_output, complain, lose_output

    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a stream of another encoding has no Δ
            stream.reconfigure(errors="backslashreplace")
    code = 0
    answer_shell()
    try:
        app()
    except HarnessError as error:
        complain(str(error))
        code = error.exit_code
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 0
        if isinstance(gone := exit_.__context__, BrokenPipeError):
            # Typer prints help and versions, and calls a reader that has gone away a failure.
            lose_output(gone)
            code = 0
    except OSError as error:
        if error.errno not in _WRITING or error.filename is not None:
            raise
        lose_output(error)  # help and versions are typer's to print
    try:
        sys.stdout.flush()
    except OSError as error:
        # `| head` has what it wanted; without this the interpreter would complain as it ends.
        lose_output(error)
    sys.exit(code or code_of_output())


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    from harness.cli.output import complain

    complain(f"warning: {message}")
