"""Completion as the shells themselves do it: bash by its variables, fish by `complete -C`, zsh at a pseudo-terminal."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

from harness.cli.suggestions import suggest_components, suggest_kinds

SUITE = "[arms.plain]\n[arms.ema]\n[arms.sam]\n[arms.sam-ema]\n[arms.'$(touch owned)']\n"


@pytest.fixture(scope="module")
def place(harness, tmp_path_factory):
    """Return a folder with the command as it is installed, whatever PATH says, the scripts, and a suite."""
    folder = tmp_path_factory.mktemp("completion")
    command = folder / "bin" / "harness"
    command.parent.mkdir()
    main = "import sys; sys.argv[0] = 'harness'; from harness.cli.main import main; main()"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{main}" "$@"\n')
    command.chmod(0o755)
    for shell in ("bash", "zsh", "fish"):
        (folder / f"script.{shell}").write_text(harness("completion", shell).stdout)
    (folder / "suite.toml").write_text(SUITE)
    (folder / "my-suites").mkdir()
    return folder


def settings(place, **more):
    return {
        **os.environ,
        "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(place),
        "OMP_NUM_THREADS": "1",
        **more,
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_and_nothing_installed(harness, shell, tmp_path):
    done = harness("completion", shell, HOME=str(tmp_path))
    assert done.returncode == 0 and "_HARNESS_COMPLETE" in done.stdout
    assert not done.torch
    assert not list(tmp_path.iterdir())


def test_another_shell_is_refused(harness):
    assert harness("completion", "tcsh").returncode == 2


LINES = {
    "harness ru": {"run"},
    "harness le": {"leaderboard"},
    "harness leaderboard --form": {"--format"},
    "harness leaderboard --format l": {"latex"},
    "harness leaderboard --format=l": {"latex"},
    "harness completion z": {"zsh"},
    "harness list aug": {"augmentation"},
    "harness show label-sm": {"label-smoothing"},
    "harness run suite.toml --device c": {"cpu", "cuda"},
    "harness run suite.toml --arms ": {"plain", "ema", "sam", "sam-ema"},
    "harness run suite.toml --arms ema,sa": {"ema,sam", "ema,sam-ema"},
    "harness run no-such.toml --arms ": set(),
    "harness show zzz": set(),
}
QUICK = {
    "harness ru",
    "harness leaderboard --format=l",
    "harness show label-sm",
    "harness run suite.toml --arms ema,sa",
}
"""Lines that stand for the others where time is short: each starts the program."""


@pytest.fixture(scope="module")
def bash(place):
    """Return a function from a line to the words that bash has for its end."""

    def complete(line):
        words = " ".join(f"'{word}'" for word in line.split(" "))
        program = (
            f"source '{place / 'script.bash'}'; COMP_LINE='{line}'; COMP_POINT={len(line)}; COMP_WORDS=({words}); "
            f"COMP_CWORD={len(line.split(' ')) - 1}; COMP_WORDBREAKS=$' \\t\\n><=;|&(:'; "
            "_harness_completion harness; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", program],
            capture_output=True,
            text=True,
            env=settings(place),
            cwd=place,
            check=False,
        )
        assert not done.stderr, done.stderr
        return set(done.stdout.split())

    return complete


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    "line", [line if line in QUICK else pytest.param(line, marks=pytest.mark.slow) for line in LINES]
)
def test_bash_completes(bash, line, place):
    assert bash(line) == LINES[line]
    assert not (place / "owned").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_replaces_what_follows_a_colon_alone(bash):
    # `timm:` is a word that bash breaks at the colon: what it offers must not repeat what stands before it.
    assert "timm:" in dict(suggest_components("timm"))
    assert bash("harness show tim") == {"timm:"}
    assert bash("harness show timm:") == set()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize("line", [line for line in LINES if "=" not in line and LINES[line]])
def test_fish_completes(place, line):
    assert set(fish(place, line)) == LINES[line]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_shows_meanings_and_completes_files_where_no_word_fits(place):
    assert fish(place, "harness list aug")["augmentation"] == "components of kind augmentation"
    assert {"suite.toml", "my-suites/"} <= set(fish(place, "harness run "))


def fish(place, line):
    """Return what fish offers for the end of a line, and its meanings."""
    program = f"source '{place / 'script.fish'}'; complete -C '{line}'"
    home = {"XDG_CONFIG_HOME": str(place), "XDG_DATA_HOME": str(place), "XDG_CACHE_HOME": str(place)}
    done = subprocess.run(
        ["fish", "--no-config", "-c", program],
        capture_output=True,
        text=True,
        env=settings(place, **home),
        cwd=place,
        check=False,
    )
    return dict(found.partition("\t")[::2] for found in done.stdout.splitlines())


ZSHRC = """
PS1='> '
unsetopt beep
zstyle ':completion:*' menu no
setopt noautomenu
fpath=($HOME/functions $fpath)
autoload -U compinit
compinit -D -u -d $HOME/dump
dump() { print -r -- "$BUFFER" >> $HOME/lines; BUFFER=''; }
zle -N dump
bindkey '^X' dump
touch $HOME/ready
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_from_the_first_tab_of_a_session(place):
    # Each line as it stands after a Tab; where several words fit, as far as they agree.
    wanted = {
        "harness ru": "harness run ",
        "harness leaderboard --format l": "harness leaderboard --format latex ",
        "harness list aug": "harness list augmentation ",
        "harness show label-sm": "harness show label-smoothing ",
        "harness show tim": "harness show timm: ",
        "harness run suite.toml --arms ema,s": "harness run suite.toml --arms ema,sam",
        "harness run my": "harness run my-suites/",
    }
    assert zsh(place, list(wanted)) == list(wanted.values())


def zsh(place, lines):
    """Return each line as it stands in an interactive zsh after a Tab at its end."""
    (place / "functions").mkdir()
    shutil.copy(place / "script.zsh", place / "functions" / "_harness")
    (place / ".zshrc").write_text(ZSHRC)
    there = settings(place, ZDOTDIR=str(place), TERM="dumb")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(place)
        os.execvpe("zsh", ["zsh", "-d", "-i"], there)
    told = place / "lines"
    try:
        wait(terminal, (place / "ready").exists)
        for index, line in enumerate(lines):
            os.write(terminal, f"{line}\t\x18".encode())
            wait(terminal, lambda: told.exists() and len(told.read_text().splitlines()) > index)  # noqa: B023
        os.write(terminal, b"exit\n")
        wait(terminal, lambda: False)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return told.read_text().splitlines()


def wait(terminal, is_done, seconds=60.0):
    """Read what the shell shows, else it stops, until something holds, the shell has ended, or time is up."""
    until = time.monotonic() + seconds
    while not is_done() and time.monotonic() < until:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                os.read(terminal, 65536)
            except OSError:  # it has ended
                return


def test_what_is_not_there_is_not_offered():
    assert suggest_components("zzz") == []
    assert suggest_kinds("zzz") == []
    assert ("plugin", "components of kind plugin") in suggest_kinds("")
