"""What `harness gate` does once there are samples: how it looks at them, shows, writes and remembers."""

import fcntl
import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.board import gate_history
from harness.board.gate_rules import GateRules
from harness.cli import gating
from harness.cli.main import app
from harness.launch.gate_build import GateRefused

SETTINGS = {
    "base": None,
    "candidate": None,
    "rounds": None,
    "arms": None,
    "accuracy": 0,
    "margin": None,
    "data": None,
    "device": "cpu",
    "timeout": 60.0,
    "history": None,
    "json": None,
    "junit": None,
    "markdown": None,
}
NAME = "speed.py::one"


class ScriptedBench:
    """Two arms whose ratio scatters by more than a verdict needs; notes at how many rounds one begins again."""

    arms = ("a", "b", "c")

    def __init__(self, seed):
        self._draw = random.Random(seed)
        self.series = {
            f"{arm}/step_seconds": {"base": [], "candidate": [], "again": None} for arm in self.arms
        }
        self.begun = []

    def take(self, rounds, names=None):
        for name, series in self.series.items():
            if names is None or name in names:
                target = series if series["again"] is None else series["again"]
                target["base"] += [1.0] * rounds
                target["candidate"] += [1.03 * self._draw.lognormvariate(0.0, 0.04) for _ in range(rounds)]

    def begin_again(self, names):
        for name in names:
            if self.series[name]["again"] is None:
                self.series[name]["again"] = {"base": [], "candidate": []}
                self.begun.append(len(self.series[name]["base"]))

    def samples(self):
        head = {"label": "x", "commit": None, "host": None}
        rest = {"kind": "time", "unit": "s", "margin": None, "failures": [], "differs": []}
        return {
            "schema": 1,
            "source": "commits",
            "base": head,
            "candidate": head,
            "measurements": [{"name": name, **rest, **series} for name, series in self.series.items()],
        }


def test_a_hit_is_measured_again_only_from_one_of_its_looks_on():
    rules = GateRules()
    begun = []
    for seed in range(60):
        bench = ScriptedBench(seed)
        gating.measure(bench, rules)
        begun += bench.begun
        counts = [len((series["again"] or series)["base"]) for series in bench.series.values()]
        assert set(counts) <= set(rules.looks)
    assert len(set(begun)) > 2, "the noise is such that hits come at several looks"
    assert set(begun) <= set(rules.looks)


@pytest.fixture
def stored(tmp_path):
    """Return a base and a candidate, 20 % slower, as pytest-benchmark files."""
    machine = {
        "machine": "x86_64",
        "system": "Linux",
        "python_version": "3",
        "cpu": {"brand_raw": "A", "count": 2},
    }
    paths = []
    for name, factor in (("base", 1.0), ("candidate", 1.2)):
        data = [factor * (1.0 + 0.001 * (index % 7)) for index in range(30)]
        entry = {"fullname": NAME, "stats": {"data": data}}
        document = {"machine_info": machine, "commit_info": {"id": "abc"}, "benchmarks": [entry]}
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(document))
    return paths


def gate(paths, **settings):
    return gating.gate(paths, gating.Settings(**{**SETTINGS, **settings}))


@pytest.mark.parametrize("option", ["json", "junit", "markdown"])
def test_a_report_that_cannot_be_written_costs_neither_text_nor_verdict(stored, tmp_path, capsys, option):
    (tmp_path / "file").touch()
    other = tmp_path / "other.md" if option != "markdown" else tmp_path / "other.json"
    more = {"json" if option == "markdown" else "markdown": other}
    assert gate(stored, **{option: tmp_path / "file" / "report"}, **more) == 1
    captured = capsys.readouterr()
    assert NAME in captured.out
    assert "warning: not written" in captured.err
    assert NAME in other.read_text()


def test_a_history_that_is_locked_costs_neither_text_nor_verdict(stored, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gate_history, "_LOCK_SECONDS", 0.1)
    assert gate(stored, history=tmp_path / "history") == 1
    [file] = (tmp_path / "history").glob("*.jsonl")
    before = file.read_bytes()
    capsys.readouterr()
    with file.with_name(f".{file.name}.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert gate(stored, history=tmp_path / "history", json=tmp_path / "report.json") == 1
    captured = capsys.readouterr()
    assert NAME in captured.out
    assert "warning: not entered into the history" in captured.err
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 1
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"json": "-", "junit": "-"}, "--json and --junit both go to -"),
        ({"junit": "same", "markdown": "./same"}, "--junit and --markdown both go to same"),
        ({"json": "/dev/null"}, "is no file"),
        ({"json": "."}, "is no file"),
        ({"history": "base.json"}, "is a file"),
    ],
)
def test_reports_that_would_be_lost_are_refused_before_anything_is_measured(
    stored, tmp_path, monkeypatch, settings, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gating, "read_stored", lambda *_: pytest.fail("it has measured"))
    with pytest.raises(GateRefused, match=said) as caught:
        gate(stored, **{name: Path(value) for name, value in settings.items()})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("names", ["", ",", " , "])
def test_arms_that_name_none_are_refused(tmp_path, names):
    settings = gating.Settings("HEAD", None, 1, names, 0, None, None, "cpu", 1.0, None, None, None, None)
    with pytest.raises(GateRefused, match="names no arm"):
        gating.gate_commits(tmp_path / "s.toml", settings)


def fill_history(stored, folder, values):
    """Write a history of the candidate's benchmark with these values; return its file."""
    gate(stored, history=folder)
    [file] = folder.glob("*.jsonl")
    entry = json.loads(file.read_text())
    lines = []
    for number, value in enumerate(values):
        entry |= {
            "at": f"2026-01-{number // 24 + 1:02d}T{number % 24:02d}:00:00Z",
            "commit": f"commit{number:04d}",
        }
        entry["values"][NAME]["value"] = value
        lines.append(json.dumps(entry) + "\n")
    file.write_text("".join(lines))
    return file


@pytest.mark.parametrize(("after", "is_named"), [(12, True), (30, False)])
def test_a_drift_is_named_while_it_is_recent(stored, tmp_path, capsys, after, is_named):
    draw = random.Random(3)
    levels = [1.0] * 30 + [1.2] * after  # what the candidate's file holds is 1.2 as well
    fill_history(stored, tmp_path / "history", [level * draw.lognormvariate(0, 0.002) for level in levels])
    capsys.readouterr()
    gate(stored, history=tmp_path / "history")
    said = capsys.readouterr().err
    assert ("drift:" in said, "commit0030" in said) == (is_named, is_named)
    assert ("older drifts: 1" in said) == (not is_named)


def test_a_drift_of_what_the_report_does_not_hold_is_not_named(stored, tmp_path, capsys):
    draw = random.Random(3)
    levels = [1.0] * 30 + [1.2] * 12
    file = fill_history(
        stored, tmp_path / "history", [level * draw.lognormvariate(0, 0.002) for level in levels]
    )
    file.write_text(file.read_text().replace(NAME, "speed.py::another"))
    capsys.readouterr()
    gate(stored, history=tmp_path / "history")
    assert "drift:" not in capsys.readouterr().err


def test_only_a_history_is_shown_as_one_and_its_picture_is_never_read_as_one(stored, tmp_path, capsys):
    file = fill_history(stored, tmp_path / "history", [1.0, 1.1])
    picture = file.with_suffix(".svg")
    before = picture.read_bytes()
    with pytest.raises(GateRefused, match="is no history") as caught:
        gate([], history=picture)
    assert caught.value.exit_code == 2
    assert picture.read_bytes() == before
    assert gate([], history=file) == 0
    assert "2 points" in capsys.readouterr().out


def test_help_and_guide_name_the_last_look():
    last = GateRules().looks[-1]
    shown = CliRunner().invoke(app, ["gate", "--help"]).output
    assert f"else 10, and up to {last} where noise asks" in " ".join(shown.split())
    guide = (Path(__file__).parents[2] / "docs/gates.md").read_text()
    assert f"up to {last} " in guide


@pytest.mark.parametrize(
    ("file", "needed"),
    [
        ("github-gate.yml", ["actions/cache/restore@", "actions/cache/save@", "run_attempt"]),
        ("gitlab-gate.yml", ["when: always"]),
    ],
)
def test_the_ready_jobs_keep_the_history_of_a_run_that_failed(file, needed):
    yaml = pytest.importorskip("yaml")
    text = (Path(__file__).parents[2] / "docs/ci" / file).read_text()
    assert not [part for part in needed if part not in text]
    document = yaml.safe_load(text)
    if file.startswith("github"):
        steps = document["jobs"]["gate"]["steps"]
        [restore] = [step for step in steps if step.get("uses", "").startswith("actions/cache/restore@")]
        [save] = [step for step in steps if step.get("uses", "").startswith("actions/cache/save@")]
        assert save["if"].startswith("always()")
        assert save["with"]["key"] == restore["with"]["key"]
        assert not [step for step in steps if step.get("uses", "").startswith("actions/cache@")]
    else:
        [history] = [cache for cache in document["gate"]["cache"] if "gates" in cache["paths"]]
        assert history["when"] == "always"
