"""The completion scripts: bash completes `harness ru`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_and_nothing_installed(harness, shell, tmp_path):
    done = harness("completion", shell, HOME=str(tmp_path))
    assert done.returncode == 0 and "_HARNESS_COMPLETE" in done.stdout
    assert not list(tmp_path.iterdir())


def test_another_shell_is_refused(harness):
    assert harness("completion", "tcsh").returncode == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "among"),
    [
        (["ru"], {"run"}),
        (["le"], {"leaderboard"}),
        (["leaderboard", "--form"], {"--format"}),
        (["leaderboard", "--format", "l"], {"latex"}),
        (["completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(harness, words, among, tmp_path):
    script = tmp_path / "completion.sh"
    script.write_text(harness("completion", "bash").stdout)
    # The command as it is installed, whatever PATH says.
    command = tmp_path / "harness"
    main = "import sys; sys.argv[0] = 'harness'; from harness.cli.main import main; main()"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{main}" "$@"\n')
    command.chmod(0o755)
    array = " ".join(f"'{word}'" for word in ["harness", *words])
    program = (
        f"source '{script}'; COMP_WORDS=({array}); COMP_CWORD={len(words)}; "
        f"_harness_completion harness; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        cwd=Path(tmp_path),
        check=False,
    )
    assert set(done.stdout.split()) == among, done.stderr
