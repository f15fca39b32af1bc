"""The trees of a gate or comparison: base and candidate, each in a folder with an environment that serves it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.launch.progress import Progress
from harness.registry.digests import digest_json
from harness.suite.prepare import default_cache

_SOURCE_ROOTS = ("", "plugins", "src")
"""Where a tree's packages stand: the harness's own two roots, and the usual one of a plugin's repository."""

_INSTALL_SECONDS = 3600


class GateRefused(HarnessError):
    """A gate that cannot be held: 2 where the command is wrong, 3 where there is nothing to compare."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two states of the code that are compared.

    Attributes:
        name: "base" or "candidate".
        label: As a person names it: the revision that was asked for, or "working tree".
        commit: The commit, 40 hex digits; for a working tree the one that it is based on.
        tree: Its files, in a temporary folder.
        python: The interpreter whose environment serves it.
        suite: The suite file, as this side has it.
        checkout: The repository's own folder, none of whose files a side may import.
    """

    name: str
    label: str
    commit: str
    tree: Path
    python: Path
    suite: Path
    checkout: Path

    def environment(self) -> dict[str, str]:
        """Return the variables of its processes: its own tree is imported before anything installed."""
        roots = [str(self.tree / root) for root in _SOURCE_ROOTS if (self.tree / root).is_dir()]
        inherited = os.environ.get("PYTHONPATH")
        return {**os.environ, "PYTHONPATH": os.pathsep.join([*roots, *([inherited] if inherited else [])])}


@contextmanager
def open_sides(
    suite: Path, base: str, candidate: str | None, progress: Progress, command: str = "gate"
) -> Iterator[tuple[Side, Side]]:
    """Give both sides, each exported into a temporary folder; the folders go in every case.

    The repository is the one around the current folder. Nothing is written to it: the trees are exported
    through an index of their own. The working tree is copied too (what git tracks and what it does not ignore),
    so that an edit meanwhile does not get into the samples, and both sides lie in the same kind of place.

    Args:
        suite: The suite file; in the repository each side has its own, elsewhere both read the same.
        base: A revision.
        candidate: A revision, or None for the working tree as it is.
        progress: What shows a line where an environment has to be built.
        command: The command that asks, "gate" or "compare", for messages.

    Raises:
        GateRefused: No git, no repository, an unknown revision, no suite on one side, or no environment.
    """
    checkout = _find_checkout(command)
    commits = {"base": _commit(checkout, base), "candidate": _commit(checkout, candidate or "HEAD")}
    labels = {"base": base, "candidate": candidate or "working tree"}
    scratch = Path(tempfile.mkdtemp(prefix="harness-gate-")).resolve()
    try:
        trees = {name: scratch / name for name in ("base", "candidate")}
        _export(checkout, commits["base"], trees["base"])
        if candidate is None:
            _copy_working_tree(checkout, trees["candidate"])
        else:
            _export(checkout, commits["candidate"], trees["candidate"])
        suites = _suites(suite, checkout, trees, labels)
        pythons = _environments(trees, progress)
        sides = [
            Side(name, labels[name], commits[name], trees[name], pythons[name], suites[name], checkout)
            for name in ("base", "candidate")
        ]
        yield sides[0], sides[1]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _find_checkout(command: str) -> Path:
    if shutil.which("git") is None:
        raise GateRefused(f"git is not on the PATH; harness {command} takes it for two commits")
    done = _run(["git", "rev-parse", "--show-toplevel"], Path.cwd())
    if done.returncode != 0:
        raise GateRefused(
            f"{Path.cwd()}: not in a git repository; run this in a checkout, or give two stored results: "
            f"harness {command} BASE CANDIDATE"
        )
    return Path(done.stdout.decode().strip()).resolve()


def _commit(checkout: Path, revision: str) -> str:
    # --end-of-options: a revision that begins with a hyphen is no option.
    done = _run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"], checkout
    )
    if done.returncode == 0:
        return done.stdout.decode().strip()
    shallow = _run(["git", "rev-parse", "--is-shallow-repository"], checkout).stdout.strip() == b"true"
    hint = (
        "this clone is shallow: fetch more of it (actions/checkout: fetch-depth: 0)"
        if shallow
        else "see git log"
    )
    raise GateRefused(f'{checkout}: there is no commit "{revision}"; {hint}')


def _export(checkout: Path, commit: str, tree: Path) -> None:
    tree.mkdir()
    # An index of its own: the repository's is left alone, and no worktree is left behind by a killed gate.
    index = {**os.environ, "GIT_INDEX_FILE": str(tree.with_suffix(".index"))}
    for command in (
        ["git", "read-tree", commit],
        ["git", "checkout-index", "--all", "--force", f"--prefix={tree}/"],
    ):
        done = _run(command, checkout, index)
        if done.returncode != 0:
            raise GateRefused(
                f"{checkout}: cannot export {commit}: {done.stderr.decode(errors='replace').strip()}"
            )


def _copy_working_tree(checkout: Path, tree: Path) -> None:
    done = _run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], checkout)
    if done.returncode != 0:
        raise GateRefused(
            f"{checkout}: cannot list its files: {done.stderr.decode(errors='replace').strip()}"
        )
    tree.mkdir()
    for name in filter(None, done.stdout.split(b"\0")):
        source, target = checkout / os.fsdecode(name), tree / os.fsdecode(name)
        # A tracked file may have been deleted; a submodule is listed as its folder.
        if source.is_file() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def _suites(
    suite: Path, checkout: Path, trees: Mapping[str, Path], labels: Mapping[str, str]
) -> dict[str, Path]:
    """Return each side's own suite file; one outside of the repository serves both."""
    path = suite.resolve()
    if not path.is_relative_to(checkout):
        if not path.is_file():
            raise GateRefused(f"{suite}: there is no such suite file")
        return dict.fromkeys(trees, path)
    inside = path.relative_to(checkout)
    found = {name: tree / inside for name, tree in trees.items()}
    missing = [name for name, file in found.items() if not file.is_file()]
    if len(missing) == len(found) and not path.is_file():
        raise GateRefused(f"{suite}: there is no such suite file")
    for name in missing:
        raise GateRefused(
            f"{inside} is not in the {name} ({labels[name]}): there is nothing to compare; a suite file outside of "
            "the repository serves both sides",
            exit_code=3,
        )
    return found


def environment_digest(tree: Path) -> str:
    """Return a digest of what decides the environment of a tree: packages, constraints and entry points."""
    try:
        document = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))
    except OSError:
        document = {}
    except ValueError as error:
        raise GateRefused(f"{tree / 'pyproject.toml'}: {error}") from error
    project = document.get("project", {})
    names = ("name", "requires-python", "dependencies", "entry-points", "scripts", "dynamic")
    constraints = tree / "constraints.txt"
    decisive: dict[str, Any] = {name: project.get(name) for name in names}
    decisive["build-system"] = document.get("build-system")
    decisive["constraints"] = constraints.read_text(encoding="utf-8") if constraints.is_file() else None
    return digest_json(decisive)


def _environments(trees: dict[str, Path], progress: Progress) -> dict[str, Path]:
    """Return each side's interpreter: this one where both want the same, else one of its own each."""
    digests = {name: environment_digest(tree) for name, tree in trees.items()}
    if digests["base"] == digests["candidate"]:
        return dict.fromkeys(trees, Path(sys.executable))
    progress.say("base and candidate differ in packages or constraints: each gets an environment of its own")
    return {name: _built_environment(tree, digests[name], progress) for name, tree in trees.items()}


def _built_environment(tree: Path, digest: str, progress: Progress) -> Path:
    """Return the interpreter of an environment that has what the tree wants, built where it is not cached."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = default_cache() / "gate-environments" / f"{version}-{digest}"
    bin_folder = "Scripts" if sys.platform == "win32" else "bin"
    python = folder / bin_folder / ("python.exe" if sys.platform == "win32" else "python")
    complete = folder / ".complete"
    if complete.is_file():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    progress.say(f"building the environment of the {tree.name} in {folder}; it is kept for the next time")
    constraints = ["-c", str(tree / "constraints.txt")] if (tree / "constraints.txt").is_file() else []
    uv = shutil.which("uv")
    commands: Sequence[list[str]]
    if uv:
        commands = (
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *constraints, str(tree)],
        )
    else:
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *constraints, str(tree)]
        commands = ([sys.executable, "-m", "venv", str(folder)], [str(python), *install])
    for command in commands:
        done = _run(command, tree, seconds=_INSTALL_SECONDS)
        if done.returncode != 0:
            text = done.stderr.decode(errors="replace").strip()[-2000:]
            shutil.rmtree(folder, ignore_errors=True)
            raise GateRefused(
                f"the environment of the {tree.name} cannot be built: {' '.join(command)}\n{text}", 3
            )
    complete.touch()
    return python


def _run(
    command: Sequence[str], folder: Path, environment: dict[str, str] | None = None, seconds: float = 600.0
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise GateRefused(f"{' '.join(command)}: no end after {seconds:.0f} s", exit_code=3) from error
