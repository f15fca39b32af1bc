"""Ctrl-C and a termination in the first second, while the command line is imported: no traceback of imports."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The console script in one line, and before it a finder that sends the signal when a module is asked for.
PROGRAM = """
import os, signal, sys

class Sends:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{name})
        return None

# Where the tests themselves run in the background, Ctrl-C is switched off, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
{before}
sys.meta_path.insert(0, Sends())
sys.argv = ["harness", "schema"]
from {entry} import main
sys.exit(main())
"""

MODULES = ["harness.cli.main", "typer", "harness.cli.options", "harness.registry", "harness.cli.listing"]


def entry() -> str:
    """Return the module that the installed command starts in."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["harness"].partition(":")
    assert function == "main"
    return str(module)


def run(module: str, name: str, before: str = "") -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(module=module, name=name, before=before, entry=entry())
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("module", MODULES)
def test_ctrl_c_during_imports_ends_with_130_and_no_word(module: str) -> None:
    done = run(module, "SIGINT")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_while_the_command_line_is_built_ends_with_130_and_no_word() -> None:
    before = "import typer.main\ntyper.main.get_command = lambda *_: os.kill(os.getpid(), signal.SIGINT)"
    done = run("none", "SIGINT", before)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_termination_during_imports_ends_by_the_signal_and_without_a_word() -> None:
    done = run("harness.registry", "SIGTERM")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_where_ctrl_c_was_switched_off_it_stays_off() -> None:
    done = run("harness.registry", "SIGINT", "signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert done.returncode == 0 and done.stdout and done.stderr == ""


def test_the_modules_that_the_signal_is_sent_at_are_imported_by_the_command_and_not_by_its_entry() -> None:
    seen = "import sys, {entry} as entry; before = {{*sys.modules}}; sys.argv = ['harness', 'schema']\n"
    seen += "import atexit; atexit.register(lambda: print(*({{*sys.modules}} - before), file=sys.stderr))\n"
    program = (seen + "entry.main()").format(entry=entry())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert {*MODULES} <= {*done.stderr.split()}
