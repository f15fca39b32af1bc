"""`harness completion`: the script that has a shell complete commands, options and their values."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from harness.cli.output import say

_VARIABLE = "_HARNESS_COMPLETE"

Shell = Annotated[
    Literal["bash", "zsh", "fish"],
    typer.Argument(metavar="bash|zsh|fish", help="The shell.", show_default=False),
]


def completion_command(shell: Shell) -> None:
    """Print the script for a shell; nothing is installed.

    \b
    bash   harness completion bash >> ~/.bashrc
    zsh    harness completion zsh > ~/.zfunc/_harness    (a folder of fpath, before compinit)
    fish   harness completion fish > ~/.config/fish/completions/harness.fish
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    say(get_completion_script(prog_name="harness", complete_var=_VARIABLE, shell=shell))


def answer_shell() -> None:
    """Let typer answer where a completion script asks; else do nothing. Called before the command line is read."""
    if _VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
