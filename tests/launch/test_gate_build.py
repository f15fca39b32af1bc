import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.launch.gate_build import GateRefused, environment_digest, open_sides
from harness.launch.progress import Lines

SUITE = "suite.toml"
PROJECT = """
[project]
name = "thing"
dependencies = ["numpy>=2"]
[project.entry-points."harness.plugins"]
thing = "thing"
[tool.ruff]
line-length = 100
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from gate_fakes import Repository

    made = Repository(tmp_path / "repository")
    made.commit(plain={})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.chdir(made.root)
    made.scratch = scratch
    return made


def open_them(repository, base="HEAD", candidate=None, suite=None):
    return open_sides(suite or repository.suite, base, candidate, Lines())


def refusal(repository, **what):
    with pytest.raises(GateRefused) as caught, open_them(repository, **what):
        pass
    return caught.value


def test_each_side_has_its_own_commit_s_files(repository):
    repository.write("only_before.txt", "x")
    first = repository.commit(plain={"step": 1.0})
    (repository.root / "only_before.txt").unlink()
    second = repository.commit(plain={"step": 2.0})
    with open_them(repository, "HEAD~1", "HEAD") as (base, candidate):
        assert (base.commit, candidate.commit) == (first, second)
        assert (base.tree / "only_before.txt").exists()
        assert not (candidate.tree / "only_before.txt").exists()
        assert '"step": 1.0' in (base.tree / "harness/plan.json").read_text()
        assert '"step": 2.0' in (candidate.tree / "harness/plan.json").read_text()
        assert base.suite == base.tree / SUITE


def test_the_working_tree_goes_with_its_edits_and_new_files_without_the_ignored_and_the_deleted(repository):
    repository.write("deleted.txt", "x")
    repository.commit(plain={})
    (repository.root / "deleted.txt").unlink()
    repository.write("ignored.txt", "x")
    repository.write("new file.txt", "untracked")
    repository.write(SUITE, "edited")
    (repository.root / "link").symlink_to("new file.txt")
    with open_them(repository) as (base, candidate):
        assert (candidate.tree / SUITE).read_text() == "edited"
        assert (base.tree / SUITE).read_text() != "edited"
        assert (candidate.tree / "new file.txt").read_text() == "untracked"
        assert (candidate.tree / "link").readlink() == Path("new file.txt")
        assert not (candidate.tree / "ignored.txt").exists()
        assert not (candidate.tree / "deleted.txt").exists()
        assert candidate.label == "working tree"


def test_nothing_is_written_to_the_repository_and_nothing_stays_behind(repository):
    repository.write(SUITE, "edited")
    repository.git("status")  # refreshes the index now, so that it does not do so in between

    def state():
        files = sorted(path for path in (repository.root / ".git").rglob("*") if path.is_file())
        return [(path, path.read_bytes()) for path in files]

    before = state()
    with pytest.raises(ZeroDivisionError), open_them(repository) as (base, _):
        assert base.tree.is_relative_to(repository.scratch)
        raise ZeroDivisionError
    assert state() == before
    assert list(repository.scratch.iterdir()) == []


def test_a_side_s_own_tree_is_imported_before_what_is_installed(repository, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/inherited")
    repository.write("plugins/__init__.py", "")
    with open_them(repository) as (_, candidate):
        roots = candidate.environment()["PYTHONPATH"].split(os.pathsep)
        assert roots == [str(candidate.tree), str(candidate.tree / "plugins"), "/inherited"]
        command = [candidate.python, "-P", "-c", "import harness; print(harness.__file__)"]
        done = subprocess.run(
            command, env=candidate.environment(), capture_output=True, text=True, check=True
        )
        assert Path(done.stdout.strip()).is_relative_to(candidate.tree)


def test_a_suite_outside_of_the_repository_serves_both_sides(repository, tmp_path):
    outside = tmp_path / "outside.toml"
    outside.write_text("x")
    with open_them(repository, suite=outside) as (base, candidate):
        assert base.suite == candidate.suite == outside


@pytest.mark.parametrize("revision", ["no-such", "--help", "-n1", "HEAD:suite.toml", ""])
def test_an_unknown_revision_is_named(repository, revision):
    error = refusal(repository, base=revision)
    assert error.exit_code == 2
    assert f'no commit "{revision}"' in str(error)


def test_a_shallow_clone_is_told_to_fetch_more(repository, tmp_path, monkeypatch):
    repository.commit(plain={})
    clone = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.root}", str(clone))
    monkeypatch.chdir(clone)
    assert "fetch-depth" in str(refusal(repository, base="HEAD~1", suite=clone / SUITE))


def test_outside_of_a_repository_the_other_way_is_named(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = refusal(repository)
    assert error.exit_code == 2
    assert "not in a git repository" in str(error)
    assert "harness gate BASE CANDIDATE" in str(error)
    with (
        pytest.raises(GateRefused) as refused,
        open_sides(repository.suite, "HEAD", None, Lines(), "compare"),
    ):
        pass
    assert "harness compare BASE CANDIDATE" in str(refused.value) and "gate" not in str(refused.value)


def test_a_suite_that_the_base_lacks_leaves_nothing_to_compare(repository):
    repository.write("new.toml", "x")
    error = refusal(repository, suite=repository.root / "new.toml")
    assert error.exit_code == 3
    assert "new.toml is not in the base (HEAD)" in str(error)
    assert list(repository.scratch.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere.toml", "/nowhere.toml"])
def test_a_suite_that_is_nowhere_is_a_mistake_of_the_command(repository, name):
    error = refusal(repository, suite=Path(name))
    assert error.exit_code == 2
    assert f"{name}: there is no such suite file" in str(error)


def test_only_what_decides_the_environment_is_in_its_digest(tmp_path):
    def digest(text, constraints="numpy==2.0\n"):
        (tmp_path / "pyproject.toml").write_text(text)
        (tmp_path / "constraints.txt").write_text(constraints)
        return environment_digest(tmp_path)

    first = digest(PROJECT)
    assert digest("# a comment\n" + PROJECT.replace("100", "120")) == first
    assert digest(PROJECT.replace("numpy>=2", "numpy>=2.1")) != first
    assert digest(PROJECT.replace('thing = "thing"', 'thing = "other"')) != first
    assert digest(PROJECT, "numpy==2.1\n") != first


FAKE_UV = f"""#!{sys.executable}
import os, pathlib, sys
with open(os.environ["UV_CALLS"], "a") as file:
    print(*sys.argv[1:], file=file)
if sys.argv[1] == "venv":
    python = pathlib.Path(sys.argv[-1]) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
elif os.environ.get("UV_FAILS"):
    sys.exit("no such version")
"""


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """Put a `uv` first on the PATH that notes its calls; return the file of its calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "uv"
    program.write_text(FAKE_UV)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    calls = tmp_path / "calls"
    calls.touch()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_CALLS", str(calls))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return calls


def commit_two_environments(repository):
    repository.write("pyproject.toml", PROJECT)
    repository.write("constraints.txt", "numpy==2.0\n")
    repository.commit(plain={})
    repository.write("constraints.txt", "numpy==2.1\n")


def test_equal_environments_are_served_by_the_running_one(repository, uv):
    commit_two_environments(repository)
    repository.write("constraints.txt", "numpy==2.0\n")
    with open_them(repository) as sides:
        assert {side.python for side in sides} == {Path(sys.executable)}
    assert uv.read_text() == ""


def test_sides_that_want_other_packages_get_environments_of_their_own_that_are_kept(repository, uv, tmp_path):
    commit_two_environments(repository)
    pythons = []
    for _ in range(2):
        with open_them(repository) as sides:
            pythons.append([side.python for side in sides])
            assert all(side.python.is_file() for side in sides)
    assert pythons[0] == pythons[1]
    assert pythons[0][0] != pythons[0][1]
    assert all(python.is_relative_to(tmp_path / "cache") for python in pythons[0])
    calls = uv.read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["venv", "pip", "venv", "pip"]
    assert all("-c" in call and "constraints.txt" in call for call in calls if call.startswith("pip"))


def test_an_environment_that_cannot_be_built_leaves_nothing_half_made(repository, uv, tmp_path, monkeypatch):
    commit_two_environments(repository)
    monkeypatch.setenv("UV_FAILS", "1")
    error = refusal(repository)
    assert error.exit_code == 3
    assert "no such version" in str(error)
    assert list((tmp_path / "cache" / "gate-environments").iterdir()) == []
    assert list(repository.scratch.iterdir()) == []
