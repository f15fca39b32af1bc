"""`harness completion`: the script that has a shell complete commands, options and their values."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from harness.cli.output import say

_VARIABLE = "_HARNESS_COMPLETE"

# The scripts of typer's own have zsh evaluate what the program prints, offer nothing at the first Tab of a session
# where the script lies in a folder of fpath, and start the program twice in fish. All three shells ask in one way here:
# a line for each word that fits, its meaning behind a tab. Where there is none, a shell completes files.
_ASK = f"env {_VARIABLE}=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="
_SCRIPTS = {
    "bash": r"""_harness_completion() {
    local IFS=$'\n' typed="${COMP_LINE:0:COMP_POINT}"
    COMPREPLY=($(@ASK@"$typed" "${COMP_WORDS[0]/#\~/$HOME}" 2>/dev/null | cut -f1))
    typed="${typed##* }"
    # Of a word with a colon in it bash replaces what follows the colon alone.
    [[ $COMP_WORDBREAKS == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"${typed%"${typed##*:}"}"}")
}
complete -o default -F _harness_completion harness""",
    "zsh": r"""#compdef harness
_harness() {
    local line tab=$'\t'
    local -a found
    for line in ${(f)"$(@ASK@"${(j: :)words[1,CURRENT]}" ${~words[1]} 2>/dev/null)"}; do
        found+=("${${line%%$tab*}//:/\\:}:${${line#*$tab}#$line}")
    done
    if (( $#found )); then _describe harness found; else _files; fi
}
if [[ $funcstack[1] == _harness ]]; then _harness "$@"; else compdef _harness harness; fi""",
    "fish": r"""function __harness_complete
    set -l words (commandline -cop)
    set -l found (@ASK@(commandline -cp | string collect) $words[1] 2>/dev/null | string match -v '')
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command harness --no-files --arguments '(__harness_complete)'""",
}

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
    say(_SCRIPTS[shell].replace("@ASK@", _ASK))


def answer_shell() -> None:
    """Let typer answer where a completion script asks; else do nothing. Called before the command line is read."""
    if _VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
