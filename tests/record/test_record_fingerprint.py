import platform
import subprocess
import sys

import pytest

from harness.record import fingerprint
from harness.record.fingerprint import code, host, libraries, session


def test_secrets_are_masked_wherever_they_stand():
    arguments = ["harness", "run", "--api-key", "abc123", "--token=xyz789", "hf_verysecret", "suite.toml"]
    environment = {
        "HARNESS_DATA": "/data",
        "HARNESS_TOKEN": "tok-1",
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "0",
        "AWS_SECRET_ACCESS_KEY": "aws-1",
        "HOME": "/home/someone",
        "HARNESS_PROXY": "http://me:pa55@host",
    }
    told = session(arguments, environment)
    for secret in ("abc123", "xyz789", "verysecret", "tok-1", "aws-1", "pa55", "someone"):
        assert secret not in str(told)
    assert "suite.toml" in told["command"]
    assert told["environment"]["OMP_NUM_THREADS"] == "2"
    assert told["environment"]["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("/srv/harness/__main__.py", "python -m harness"),
        ("/home/someone/.venv/bin/harness", "harness"),
        ("harness", "harness"),
    ],
)
def test_the_command_is_one_that_can_be_typed_elsewhere(program, told):
    assert session([program, "run", "my suite.toml"], {})["command"] == f"{told} run 'my suite.toml'"


def test_the_host_keeps_what_accuracy_and_what_speed_depend_on_apart():
    told = host()
    assert told["accuracy"]["python"] == platform.python_version()
    assert "torch" in told["accuracy"]["libraries"]
    assert told["speed"]["cores"] >= 1
    assert told["speed"]["memory_bytes"] > 2**28
    assert platform.node() not in str(told["shown"])


def test_versions_are_those_that_the_libraries_tell():
    import numpy
    import orjson  # noqa: F401

    assert libraries()["numpy"] == numpy.__version__


def test_code_state_is_the_same_twice():
    first = dict(code())
    code.cache_clear()
    assert code() == first
    assert len(first["engine"]) == 32


def test_no_torch_is_imported_for_it():
    text = (
        "import sys\nfrom harness.record import fingerprint, store\n"
        "fingerprint.host(); fingerprint.code(); fingerprint.session()\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0


@pytest.mark.parametrize("how", ["committed", "edited", "untracked", "ignored", "elsewhere"])
def test_a_suite_file_that_no_commit_holds_is_uncommitted_code(tmp_path, monkeypatch, how):
    """Of a checkout, the suite file that is run counts beside harness and plugins; one elsewhere does not."""
    root = tmp_path / "checkout"
    for folder in ("harness/contract", "harness/engine", "plugins", "suites"):
        (root / folder).mkdir(parents=True)
    (root / "harness" / "__init__.py").write_text("")
    suite = root / "suites" / "one.toml"
    suite.write_text("name = 'one'\n")
    (root / ".gitignore").write_text("ignored.toml\n")

    def git(*arguments):
        names = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *names, *arguments], cwd=root, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    if how == "edited":
        suite.write_text("name = 'two'\n")
    elif how != "committed":
        suite = {
            "untracked": suite.with_name("new.toml"),
            "ignored": suite.with_name("ignored.toml"),
            "elsewhere": tmp_path / "other.toml",
        }[how]
        suite.write_text("name = 'new'\n")
    monkeypatch.setattr(fingerprint.harness, "__file__", str(root / "harness" / "__init__.py"))
    monkeypatch.setattr(sys, "argv", ["harness", "run", str(suite), "--arms", "a.toml"])
    told = code.__wrapped__()
    is_dirty = how in ("edited", "untracked", "ignored")
    assert told["commit"] and told["dirty"] is is_dirty and (told["diff"] is not None) is is_dirty
    # Another file of the checkout that is edited is not what is run.
    (root / "suites" / "one.toml").write_text("name = 'three'\n")
    assert code.__wrapped__()["dirty"] is (is_dirty or how == "committed")
