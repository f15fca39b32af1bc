"""`harness reproduce`: a trial found by the beginning of its id, shown, and trained again to the same bits."""

import json
import shutil

import orjson
import pytest

from harness.cli.reproducing import _lines
from harness.record.record import seal
from harness.record.reproduced import compare_attempts, differing_environment

PLUGIN = '''
from dataclasses import dataclass
from harness.contract import Slots, Trick, hookimpl

@dataclass(frozen=True)
class Halve(Trick):
    """Halve the gradients."""
    def bind(self, ctx):
        def gradients(all_gradients):
            for gradient in all_gradients:
                gradient.mul_(0.5)
        return Slots(gradients=gradients)

@hookimpl
def harness_register(registry):
    registry.add("trick", "halve", Halve, summary="half of every gradient")
'''


@pytest.fixture(scope="module")
def finished(harness, suite_text, tmp_path_factory):
    """Return a folder with a run of two arms, the second of which needs a plugin file; no timing pass."""
    folder = tmp_path_factory.mktemp("reproduce")
    text = suite_text.replace("rounds = 1", "rounds = 0").replace('["label-smoothing"]', '["halve"]')
    text = text.replace("verdicts = false\n", 'verdicts = false\nplugins = ["halve.py"]\n')
    (folder / "tiny.toml").write_text(text)
    (folder / "halve.py").write_text(PLUGIN)
    done = harness("run", "tiny.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def trial_of(folder, arm):
    plan = json.loads(next((folder / "results" / "tiny" / "plans").glob("*.json")).read_text())
    return next(trial["id"] for trial in plan["trials"] if trial["arm"] == arm)


def test_a_trial_is_shown_with_all_that_it_takes(finished, harness):
    ident = trial_of(finished, "smooth")
    done = harness("reproduce", ident[:10], cwd=finished)
    assert done.returncode == 0, done.stderr
    assert not done.torch
    for word in (
        ident,
        'arm "smooth"',
        "replicate 0",
        "harness run tiny.toml",
        '"name":"halve"',
        "seed 0",
        "--run",
    ):
        assert word in done.stdout
    told = json.loads(harness("reproduce", ident, "--json", cwd=finished).stdout)
    assert told["recipe"]["tricks"][0]["name"] == "halve"
    assert told["digests"]["final_weights"]
    assert told["folders"] == ["results/tiny"]


def test_the_environment_and_the_data_root_are_among_the_lines():
    told = dict.fromkeys(("dirty", "top1", "version", "host", "recipe"))
    told |= {"trial": "t", "replicate": 0, "arm": "a", "suite": "s", "folders": ["results/s"], "attempt": 0}
    told |= {"status": "completed", "seed": 0, "commit": "c0ffee", "command": "harness run s.toml"}
    told["environment"] = {"HARNESS_DATA": "/somewhere/data"}
    assert list(_lines(told))[-5:] == [
        "git checkout c0ffee",
        "make .venv/.installed  # the environment",
        "export HARNESS_DATA=DIR  # the folder with the data sets",
        "harness run s.toml",
        "harness reproduce t --results results/s --run",
    ]
    bare = list(_lines({**told, "commit": None, "environment": {}}))
    assert bare[-3:] == ["", "harness run s.toml", "harness reproduce t --results results/s --run"]


def test_trained_again_it_is_equal_bit_for_bit_and_leaves_nothing(finished, harness):
    before = sorted(path for path in finished.rglob("*") if "__pycache__" not in path.parts)
    done = harness("reproduce", trial_of(finished, "smooth")[:10], "--run", cwd=finished)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal bit for bit: weights, outputs and accuracy" in done.stdout
    assert sorted(path for path in finished.rglob("*") if "__pycache__" not in path.parts) == before


def test_a_record_that_says_otherwise_is_not_equal_and_the_distance_is_told(finished, harness, tmp_path):
    # A copy whose record and host are those of another machine with other bits.
    folder = tmp_path / "copy"
    shutil.copytree(finished / "results", folder)
    path = folder / "tiny" / "trials" / trial_of(finished, "plain") / "0.json"
    record = orjson.loads(path.read_bytes())
    host_file = folder / "tiny" / "shared" / f"{record['refs']['host']}.json"
    host = orjson.loads(host_file.read_bytes())
    host["accuracy"]["cpu"] = "Another CPU"
    from harness.record.store import Store

    record["refs"]["host"] = Store(folder / "tiny").share(host)
    record["digests"]["final_weights"] = "0" * 32
    record["results"]["test"]["top1"] += 1.5
    path.write_bytes(orjson.dumps(seal(record), option=orjson.OPT_SORT_KEYS))
    done = harness("reproduce", trial_of(finished, "plain"), "--results", folder, "--run", cwd=finished)
    assert done.returncode == 1, done.stderr
    for words in ("not equal: other bits in final weights", "top-1 by -1.50 points", "cpu Another CPU, now"):
        assert words in done.stdout
    assert "evaluation outputs" not in done.stdout


def test_a_plugin_file_that_is_gone_or_another_is_named(finished, harness, tmp_path):
    results = finished / "results"
    ident = trial_of(finished, "smooth")
    (tmp_path / "tiny.toml").write_text("")
    done = harness("reproduce", ident, "--results", results, "--run", "--suite", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert '"halve.py", which the suite names, is needed' in done.stderr
    (tmp_path / "halve.py").write_text(PLUGIN.replace("0.5", "0.6"))
    done = harness("reproduce", ident, "--results", results, "--run", "--suite", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "is another by its digest" in done.stderr


def test_ids_that_are_unknown_or_not_unique_are_refused(finished, harness, tmp_path):
    done = harness("reproduce", "zz", cwd=finished)
    assert done.returncode == 2
    assert 'no trial\'s id begins with "zz"' in done.stderr
    shutil.copytree(finished / "results", tmp_path / "results")
    trials = tmp_path / "results" / "tiny" / "trials"
    ident = trial_of(finished, "plain")
    shutil.copytree(trials / ident, trials / f"{ident[:8]}{'0' * 24}")
    done = harness("reproduce", ident[:8], cwd=tmp_path)
    assert done.returncode == 2
    assert f'2 trials begin with "{ident[:8]}"' in done.stderr
    assert harness("reproduce", ident, cwd=tmp_path).returncode == 0
    assert "holds no suite's results" in harness("reproduce", "a", "--results", tmp_path / "empty").stderr


def a_record(weights="w", outputs="o", top1=50.0, bits=b"\x0f", status="completed"):
    import base64

    test = {"count": 8, "top1": top1, "nll": 1.0, "correct_bits": base64.b64encode(bits).decode()}
    digests = {"order": "a", "initial_weights": "i", "final_weights": weights, "evaluation_outputs": outputs}
    return {"status": status, "digests": digests, "results": {"test": test}}


@pytest.mark.parametrize(
    ("again", "equal", "otherwise"),
    [
        (a_record(), True, 0),
        (a_record(weights="x"), False, 0),
        (a_record(outputs="x"), False, 0),
        (a_record(top1=62.5, outputs="x", bits=b"\x1f"), False, 1),
        (a_record(outputs="x", bits=b"\xf0"), False, 8),
        (a_record(status="diverged"), False, 0),
        (a_record(weights=None), False, 0),
    ],
)
def test_equal_takes_weights_outputs_accuracy_and_the_same_end(again, equal, otherwise):
    told = compare_attempts(a_record(), again)
    assert told["equal"] is equal
    assert told["examples"] == {"otherwise": otherwise, "of": 8}


def test_a_trial_that_failed_is_equal_where_it_fails_alike():
    dead = {"status": "oom", "digests": None, "results": None}
    assert compare_attempts(dead, dict(dead))["equal"] is True
    assert compare_attempts(dead, {**dead, "status": "timeout"})["equal"] is False
    assert compare_attempts(dead, a_record())["equal"] is False


def test_environments_are_compared_by_what_may_change_bits():
    then = {"accuracy": {"cpu": "A", "libraries": {"torch": "2.9.0"}}, "speed": {"cores": 2}}
    now = {"accuracy": {"cpu": "A", "libraries": {"torch": "2.15", "timm": "1.0"}}, "speed": {"cores": 64}}
    assert differing_environment(then, now) == [
        "libraries.timm absent, now 1.0",
        "libraries.torch 2.9.0, now 2.15",
    ]
    assert differing_environment(then, then) == []
    assert differing_environment(None, now) == ["the environment of the record is not known"]
