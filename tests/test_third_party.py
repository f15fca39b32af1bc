"""A stranger's distribution and its broken sibling, built, laid on the path and used through entry points."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SUITE = """
schema = 1
name = "strangers"
replicates = 2
verdicts = false
baseline = "plain"
[budget]
epochs = 4
[timing]
rounds = 0
[recipe]
dataset = "toy-tricks/stripes"
backbone = { name = "simple-cnn", width = 4 }
optimizer = { name = "sgd", lr = 0.05 }
batch_size = 16
[arms.plain]
[arms.signs]
tricks = ["toy-tricks/gradient-sign"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for sibling in ("good", "broken"):
        wheels = tmp_path_factory.mktemp(sibling)
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels)]
        subprocess.run([*build, str(HERE / "toy_dist" / sibling)], check=True, capture_output=True)
        (wheel,) = wheels.glob("*.whl")
        zipfile.ZipFile(wheel).extractall(folder)
    return folder


def harness(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "HARNESS_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_both_are_listed_and_the_broken_one_says_why(site: Path, tmp_path: Path) -> None:
    listed = json.loads(harness(site, "list", "--json", cwd=tmp_path).stdout)
    by_name = {entry["name"]: entry for entry in listed}
    assert by_name["toy-tricks/gradient-sign"]["status"] == "ok"
    assert by_name["toy-tricks/stripes"]["kind"] == "dataset"
    (broken,) = [entry for entry in listed if entry["status"] == "broken"]
    assert "toy-broken" in broken["source"]
    assert "a_package_that_nobody_has" in json.dumps(broken)


def test_a_strangers_trick_trains_on_a_strangers_dataset_in_the_strangers_name(
    site: Path, tmp_path: Path
) -> None:
    (tmp_path / "suite.toml").write_text(SUITE)
    done = harness(site, "run", "suite.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    board = json.loads((tmp_path / "results/strangers/leaderboard.json").read_text())
    assert {row["arm"] for row in board["rows"]} == {"plain", "signs"}
    assert all(row["top1"]["mean"] > 60 for row in board["rows"])


def test_a_bare_name_never_means_a_strangers_component(site: Path, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.replace("toy-tricks/gradient-sign", "gradient-sign"))
    refused = harness(site, "run", "suite.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "toy-tricks/gradient-sign" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_harness_plugins_picks_what_is_loaded(site: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(site), "HARNESS_PLUGINS": "first-party"}
    command = [sys.executable, "-m", "harness", "list", "--json"]
    listed = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert not [entry for entry in json.loads(listed.stdout) if "toy" in entry["name"]]
