"""A suite whose arms need each other, from the command line: what travels, what is reused, what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from harness.engine.evaluate import outputs_digest
from harness.registry.digests import digest_file
from harness.suite.load import load
from harness.testing.toys import ToyDataset

pytestmark = pytest.mark.slow

ARMS = """
[arms.teacher]
backbone = { name = "toy-net", width = 32, batch_norm = true, dropout = 0.0 }
compared = false
[arms.distilled]
teacher = { arm = "teacher" }
tricks = [{ name = "knowledge-distillation", temperature = 2.0, alpha = 0.5 }]
[arms.continued]
init = { arm = "distilled" }
"""


@pytest.fixture(scope="module")
def finished(new_place):
    place = new_place()
    place.suite(ARMS, replicates=2, rounds=1)
    place.run("run", "toy.toml", "--jobs", "2")
    return place


def weights_of(place, trial):
    return place.results / "weights" / f"{trial}.safetensors"


def test_a_childs_record_names_its_parent_by_id_and_digest(finished):
    records = finished.completed()
    assert len(records) == 8
    for replicate in range(2):
        for child, role, parent in (("distilled", "teacher", "teacher"), ("continued", "init", "distilled")):
            told = records[child, replicate]["parents"][role]
            theirs = records[parent, replicate]
            assert told["arm"] == parent
            assert told["trial"] == theirs["trial"]
            assert told["digest"] == theirs["weights"]["digest"]
            assert told["digest"] == digest_file(weights_of(finished, theirs["trial"]))
            assert told["training_flops"] == theirs["budget"]["training_flops"]
            assert told["train_seconds"] == theirs["seconds"]["train"]
    assert "parents" not in records["plain", 0]
    assert "weights" not in records["plain", 0]
    assert "weights" not in records["continued", 0]
    assert len(list((finished.results / "weights").iterdir())) == 4


def test_what_travels_is_the_model_that_the_parent_was_judged_by(finished):
    record = finished.completed()["teacher", 0]
    file = weights_of(finished, record["trial"])
    plan = json.loads(next((finished.results / "plans").glob("*.json")).read_text())
    (manifest,) = plan["manifests"].values()
    image = manifest["modalities"]["image"]
    pixels = torch.from_numpy(ToyDataset().prepare(None).test.inputs["image"]).float()
    mean, std = (torch.tensor(image[name]).mul(255).view(-1, 1, 1) for name in ("mean", "std"))
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
    network.load_state_dict(load_file(file))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            logits = network.eval()((pixels - mean).div_(std))
    finally:
        torch.set_num_threads(threads)
    assert outputs_digest(logits) == record["digests"]["evaluation_outputs"]
    with safe_open(file, framework="pt") as opened:
        assert json.loads(opened.metadata()["harness"])["trial"] == record["trial"]


def test_a_start_is_where_the_parent_ended(finished):
    records = finished.completed()
    continued, distilled = records["continued", 1], records["distilled", 1]
    assert continued["digests"]["initial_weights"] != distilled["digests"]["initial_weights"]
    first, last = (record["curves"]["train_loss"] for record in (distilled, continued))
    assert last[0] < first[0]


def test_the_board_shows_the_parents_cost_and_does_not_rank_the_teacher(finished):
    rows = finished.rows()
    ranks = {row["arm"]: row["rank"] for row in finished.board()["rows"]}
    assert list(ranks)[-1] == "teacher"
    assert [arm for arm, rank in ranks.items() if rank is None] == ["teacher"]
    assert rows["teacher"]["compared"] is False
    assert rows["teacher"]["difference"] is None
    assert finished.board()["settings"]["family"] == 2
    flops = {arm: row["training_flops"] for arm, row in rows.items()}
    assert rows["distilled"]["parents_cost"]["training_flops"] == flops["teacher"]
    assert rows["continued"]["parents_cost"]["training_flops"] == flops["teacher"] + flops["distilled"]
    for name in ("leaderboard.md", "leaderboard.html"):
        text = (finished.results / name).read_text()
        ratio = rows["continued"]["parents_cost"]["training_flops_ratio"]
        assert f" + {ratio:.2f}×" in text
        assert "not compared" in text
    assert "parents_teacher_arm" in (finished.results / "leaderboard.csv").read_text().partition("\n")[0]


def test_a_second_run_changes_nothing_and_neither_does_the_weights_end(finished):
    before = finished.snapshot()
    finished.run("run", "toy.toml")
    assert finished.snapshot() == before
    kept = finished.folder / "kept"
    (finished.results / "weights").rename(kept)
    done = finished.run("run", "toy.toml")
    assert "0 trials run, 8 had a record" in done.stderr
    assert not (finished.results / "weights").exists()
    kept.rename(finished.results / "weights")


def test_a_new_child_of_parents_that_are_gone_trains_them_again_bit_for_bit(finished, place):
    shutil.copytree(finished.results, place.results)
    shutil.rmtree(place.results / "weights")
    place.suite(
        ARMS
        + '[arms.again]\ninit = { arm = "teacher" }\nbackbone = { name = "toy-net", width = 32, dropout = 0.0 }\n',
        replicates=2,
    )
    plan = place.run("plan", "toy.toml").stdout
    assert "  teacher (not compared): 2 of 2 have a record, 2 trained again: the weights are gone" in plan
    assert "10 trials, 8 reused, 4 to run" in plan
    assert not (place.results / "weights").exists()
    done = place.run("run", "toy.toml", "--jobs", "2")
    assert "4 trials run" in done.stderr
    records = place.records()
    for replicate in range(2):
        first, second = (records["teacher", replicate, attempt] for attempt in (0, 1))
        assert first["weights"] == second["weights"]
        assert first["digests"] == second["digests"]
        assert records["again", replicate, 0]["parents"]["init"]["digest"] == first["weights"]["digest"]
        assert ("distilled", replicate, 1) not in records


def test_choosing_a_child_runs_its_parents_and_no_others(place):
    place.suite(ARMS)
    place.run("run", "toy.toml", "--arms", "distilled")
    assert {arm for arm, _ in place.completed()} == {"plain", "teacher", "distilled"}


def test_a_file_where_the_weights_should_be_is_refused_before_anything_trains(place):
    place.suite(ARMS)
    place.results.mkdir(parents=True)
    (place.results / "weights").write_text("mine")
    done = place.run("run", "toy.toml", code=2)
    assert "weights: a file stands where a folder should be" in done.stderr
    assert not list(place.results.glob("trials/*"))
    assert (place.results / "weights").read_text() == "mine"


def test_check_builds_children_on_models_with_random_weights(place):
    place.suite(ARMS)
    done = place.run("check", "toy.toml")
    assert [line for line in done.stdout.splitlines() if line] == [
        "plain: ok", "teacher: ok", "distilled: ok", "continued: ok",
    ]  # fmt: skip
    place.suite(
        '[arms.a]\ninit = { arm = "b" }\n[arms.b]\ncompared = false\nbackbone = { name = "toy-net", width = 4 }\n'
    )
    done = place.run("check", "toy.toml", code=1)
    assert "init: the weights do not fit the backbone" in done.stdout


def test_circles_and_strangers_are_refused_by_name_with_their_line(place):
    place.suite(
        '[arms.a]\ninit = { arm = "b" }\n[arms.b]\ninit = { arm = "a" }\n[arms.c]\ninit = { arm = "plian" }\n'
    )
    done = place.run("run", "toy.toml", code=2)
    assert "arms.a.init: goes round in a circle: a (init) → b (init) → a" in done.stderr
    assert 'arms.c.init.arm: there is no arm "plian"; did you mean "plain"?' in done.stderr
    assert not place.results.exists()


def test_a_teacher_of_other_classes_is_refused_before_anything_runs(place):
    other = '[arms.teacher]\ndataset = { name = "toy-dataset", classes = 4 }'
    place.suite(ARMS.replace("[arms.teacher]", other))
    done = place.run("check", "toy.toml", code=2)
    assert 'arms.distilled.teacher: arm "teacher" tells 4 classes apart' in done.stderr


def test_a_childs_id_moves_with_its_parents_source_alone(place):
    place.suite(ARMS)
    place.run("run", "toy.toml")
    before = {arm: record["trial"] for (arm, _), record in place.completed().items()}
    place.suite(ARMS.replace("width = 32", "width = 24"))
    done = place.run("run", "toy.toml")
    assert "3 trials run, 1 had a record" in done.stderr
    after = {arm: record["trial"] for arm, record in _latest(place).items()}
    assert before["plain"] == after["plain"]
    assert all(before[arm] != after[arm] for arm in ("teacher", "distilled", "continued"))


def _latest(place):
    plan = json.loads(
        (
            place.results / "plans" / f"{(place.results / 'plans' / 'latest').read_text().strip()}.json"
        ).read_text()
    )
    ids = {trial["id"]: trial["arm"] for trial in plan["trials"]}
    return {ids[r["trial"]]: r for r in place.all_records() if r["trial"] in ids}


def test_try_gives_a_trick_that_needs_a_teacher_the_baselines_model(place):
    place.write(
        "mine.py",
        '"""Learn from a teacher\'s outputs."""\n'
        "from dataclasses import dataclass\nfrom harness.contract import Slots, Trick, hookimpl\n"
        "@dataclass(frozen=True)\nclass Mine(Trick):\n    parents = frozenset({'teacher'})\n"
        "    def bind(self, ctx):\n        teacher = ctx.parents['teacher']\n"
        "        def objective(inner):\n            def matched(batch):\n                loss, logits = inner(batch)\n"
        "                return loss + (logits - teacher(batch)).square().mean(), logits\n            return matched\n"
        "        return Slots(objective=objective)\n"
        "@hookimpl\ndef harness_register(registry):\n    registry.add('trick', 'mine', Mine, summary='mine')\n",
    )
    done = place.run("try", "mine.py")
    assert "trick-mine" in done.stdout
    assert "teacher: baseline" in done.stdout


def test_the_digits_suite_distils_from_a_larger_teacher(place):
    suite = Path(__file__).parents[2] / "benchmarks" / "suites" / "distillation-digits.toml"
    assert load(suite).arms["distilled"].recipe["parents"] == {"teacher": {"arm": "teacher"}}
    place.run("run", suite, "--replicates", "1")
    board = json.loads((place.folder / "results" / "distillation-digits" / "leaderboard.json").read_text())
    rows = {row["arm"]: row for row in board["rows"]}
    assert rows["teacher"]["parameters"] > 10 * rows["student"]["parameters"]
    assert rows["distilled"]["parents"]["teacher"]["arm"] == "teacher"
    assert rows["distilled"]["parents_cost"]["training_flops"] == rows["teacher"]["training_flops"]
    assert all(row["replicates"]["good"] == 1 for row in rows.values())
