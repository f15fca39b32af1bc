"""Other trials' models in the engine: what is written is what was judged, and what is loaded is what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from harness.contract import Batch
from harness.engine.check import check_arm
from harness.engine.culprit import Owners
from harness.engine.evaluate import outputs_digest
from harness.engine.keys import Keys
from harness.engine.parents import load_parents
from harness.engine.together import run_together
from harness.engine.trial import open_run, run_trial
from harness.errors import HarnessError, StoreError
from harness.registry.discovery import discover
from harness.suite.plan import Job
from harness.testing.jobs import TOYS, component, toy_recipe

KD = component("knowledge-distillation", temperature=2.0, alpha=0.5)
WIDE = component("toy-net", width=16, batch_norm=True, dropout=0.2)
MakeJob = Callable[..., Job]


def finish(job: Job) -> dict[str, Any]:
    outcome = run_trial(job, report=lambda _: None, stop=lambda: False)
    assert outcome["status"] == "completed", outcome["culprit"]
    return outcome


@pytest.fixture
def parent(make_job: MakeJob, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """A wide network, trained; its outcome and its weights."""
    file = tmp_path / "weights" / "parent.safetensors"
    return finish(replace(make_job(backbone=WIDE), weights=str(file))), file


def as_teacher(file: Path, **more: Any) -> dict[str, Any]:
    return {"teacher": {"arm": "big", "trial": "b" * 32, "weights": str(file), **more}}


def with_parents(job: Job, parents: dict[str, Any]) -> Job:
    """Return a job as the launcher makes it, the recipe naming the parents too."""
    named = {role: {"arm": "big"} for role in parents}
    return replace(job, recipe={**job.recipe, "parents": named}, parents=parents)


def wide_by_hand(file: Path) -> nn.Module:
    """The toy network written out, with the file's tensors."""
    layers = [
        nn.Flatten(),
        nn.Linear(64, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(16, 3),
    ]
    network = nn.Sequential(*layers)
    network.load_state_dict(load_file(file))
    return network.eval()


def test_what_is_written_is_the_model_that_was_judged(
    make_job: MakeJob, parent: tuple[dict[str, Any], Path]
) -> None:
    outcome, file = parent
    run = open_run(make_job(backbone=WIDE), Owners())
    test = run.data.test()
    with torch.no_grad():
        (batch,) = test.batches(test.ids, test.labels, len(test))
        sizes = run.job.recipe["evaluation"]["batch_size"]
        logits = torch.cat([wide_by_hand(file)(part) for part in batch.image.split(sizes)])
    assert outputs_digest(logits) == outcome["digests"]["evaluation_outputs"]
    with safe_open(file, framework="pt") as opened:
        made = json.loads(opened.metadata()["harness"])
    assert made["trial"] == "a" * 32
    assert made["backbone"] == WIDE
    assert made["classes"] == ["0", "1", "2"]
    assert made["shapes"] == {"image": [1, 8, 8]}
    assert outcome["weights"]["bytes"] == file.stat().st_size
    assert outcome["weights"]["judged"] is True


def test_an_outcome_without_children_says_nothing_of_weights(make_job: MakeJob) -> None:
    assert not {"weights", "parents"} & finish(make_job()).keys()


def test_the_same_trial_writes_the_same_bytes_whatever_the_attempt(
    make_job: MakeJob, parent: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    other = tmp_path / "again" / "parent.safetensors"
    again = finish(replace(make_job(backbone=WIDE), weights=str(other), attempt=1))
    assert again["weights"] == parent[0]["weights"]
    assert other.read_bytes() == parent[1].read_bytes()


def test_an_average_is_written_where_it_is_what_is_judged(make_job: MakeJob, tmp_path: Path) -> None:
    files = [tmp_path / name / "w.safetensors" for name in ("plain", "averaged")]
    finish(replace(make_job(), weights=str(files[0])))
    ema = finish(replace(make_job(tricks=[component("ema", decay=0.9)]), weights=str(files[1])))
    plain, averaged = (load_file(file) for file in files)
    assert ema["weights"]["judged"] is True
    assert plain.keys() == averaged.keys()
    assert not torch.equal(plain["1.weight"], averaged["1.weight"])


def test_the_raw_weights_are_written_where_the_judged_model_is_made_of_others(
    make_job: MakeJob, tmp_path: Path
) -> None:
    file = tmp_path / "w" / "w.safetensors"
    job = make_job(tricks=[component("test-time-augmentation")])
    outcome = finish(replace(job, weights=str(file)))
    assert outcome["weights"]["judged"] is False
    assert load_file(file).keys() == {"1.weight", "1.bias", "3.weight", "3.bias"}


def test_a_childs_objective_is_the_formula_with_the_parents_network(
    make_job: MakeJob, parent: tuple[dict[str, Any], Path]
) -> None:
    job = with_parents(make_job(tricks=[KD]), as_teacher(parent[1], digest=parent[0]["weights"]["digest"]))
    run = open_run(job, Owners())
    batch = next(run.training_batches(1))
    loss, logits = run.step.objective(batch)
    loss.backward()
    taught = wide_by_hand(parent[1])(batch.image)
    soft = F.kl_div(
        (logits / 2).log_softmax(1), (taught / 2).log_softmax(1), reduction="batchmean", log_target=True
    )
    expected = 0.5 * 4 * soft + 0.5 * F.cross_entropy(logits, batch.target)
    assert torch.allclose(loss, expected, rtol=1e-6)
    assert all(parameter.grad is not None for parameter in run.model.parameters())


def test_a_teacher_stands_still_and_is_counted(
    make_job: MakeJob, parent: tuple[dict[str, Any], Path]
) -> None:
    before = parent[1].read_bytes()
    plain = finish(make_job())
    taught = finish(with_parents(make_job(tricks=[KD]), as_teacher(parent[1])))
    assert parent[1].read_bytes() == before
    # Forward of the wide network on 8 images: 2 x 8 x (64 x 16 + 16 x 3) operations of its two linear layers.
    extra = taught["budget"]["flops_per_step"] - plain["budget"]["flops_per_step"]
    assert extra == 2 * 8 * (64 * 16 + 16 * 3)
    assert taught["digests"]["initial_weights"] == plain["digests"]["initial_weights"]
    assert taught["digests"]["order"] == plain["digests"]["order"]
    assert taught["digests"]["final_weights"] != plain["digests"]["final_weights"]
    assert taught["parameters"] == plain["parameters"]
    assert taught["changes"] == []


def test_a_teacher_has_no_graph_and_draws_nothing(
    make_job: MakeJob, parent: tuple[dict[str, Any], Path]
) -> None:
    job = with_parents(make_job(tricks=[KD]), as_teacher(parent[1]))
    teacher = load_parents(job, discover([Path(TOYS)]), Keys(0, 0), [torch.default_generator])["teacher"]
    image = torch.rand(8, 1, 8, 8, requires_grad=True)  # as of an adversarial example
    batch = Batch({"image": image}, torch.zeros(8, dtype=torch.int64), torch.arange(8))
    state = torch.get_rng_state()
    first, second = teacher(batch), teacher(batch)
    assert not first.requires_grad
    assert torch.equal(first, second)  # neither dropout nor a moving statistic
    assert torch.equal(torch.get_rng_state(), state)


def test_images_reach_a_teacher_normalised_as_it_was_trained(
    make_job: MakeJob, parent: tuple[dict[str, Any], Path]
) -> None:
    job = with_parents(make_job(tricks=[KD]), as_teacher(parent[1]))
    image = job.manifest["modalities"]["image"]
    other = {"image": {**image, "mean": [0.1], "std": [0.7]}}
    moved = replace(job, manifest={**job.manifest, "modalities": other})
    taught = []
    for one in (job, moved):
        run = open_run(one, Owners())
        batch = next(run.training_batches(1))
        pixels = batch.image * one.manifest["modalities"]["image"]["std"][0]
        pixels = pixels + one.manifest["modalities"]["image"]["mean"][0]
        normal = (pixels - image["mean"][0]) / image["std"][0]
        _, logits = run.step.objective(batch)
        by_hand = wide_by_hand(parent[1])(normal)
        taught.append((run, batch, logits, by_hand))
    for run, batch, logits, by_hand in taught:
        soft = F.kl_div(
            (logits / 2).log_softmax(1), (by_hand / 2).log_softmax(1), reduction="batchmean", log_target=True
        )
        loss, _ = run.step.objective(batch)
        expected = 0.5 * 4 * soft + 0.5 * F.cross_entropy(logits, batch.target)
        assert torch.allclose(loss, expected, rtol=1e-4)


def test_a_start_is_the_parents_weights_bit_for_bit(make_job: MakeJob, tmp_path: Path) -> None:
    file = tmp_path / "w" / "w.safetensors"
    finish(replace(make_job(), weights=str(file)))
    run = open_run(with_parents(make_job(), {"init": as_teacher(file)["teacher"]}), Owners())
    state, stored = run.model.state_dict(), load_file(file)
    assert state.keys() == stored.keys()
    assert all(torch.equal(state[name], stored[name]) for name in stored)


def test_a_head_of_other_classes_stays_as_initialised(make_job: MakeJob, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    body = {"1.weight": torch.full((8, 64), 0.5), "1.bias": torch.full((8,), 0.25)}
    save_file({**body, "3.weight": torch.ones(10, 8), "3.bias": torch.ones(10)}, file)
    fresh = open_run(make_job(), Owners()).model.state_dict()
    run = open_run(with_parents(make_job(), {"init": {"weights": str(file)}}), Owners())
    state = run.model.state_dict()
    assert all(torch.equal(state[name], body[name]) for name in body)
    assert all(torch.equal(state[name], fresh[name]) for name in ("3.weight", "3.bias"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"1.weight": None}, r"init: the weights do not fit the backbone: 1\.weight is missing"),
        ({"1.weight": torch.ones(9, 64)}, r"1\.weight is \(9, 64\), the network's \(8, 64\)"),
        ({"extra": torch.ones(2)}, "extra is nowhere in the network"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_by_name(
    make_job: MakeJob, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "w.safetensors"
    tensors = {
        "1.weight": torch.ones(8, 64), "1.bias": torch.ones(8), "3.weight": torch.ones(3, 8), "3.bias": torch.ones(3),
    }  # fmt: skip
    save_file({name: t for name, t in {**tensors, **change}.items() if t is not None}, file)
    with pytest.raises(HarnessError, match=message):
        open_run(with_parents(make_job(), {"init": {"weights": str(file)}}), Owners())


def test_weights_that_were_changed_are_not_used(
    make_job: MakeJob, parent: tuple[dict[str, Any], Path]
) -> None:
    outcome, file = parent
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    job = with_parents(make_job(tricks=[KD]), as_teacher(file, digest=outcome["weights"]["digest"]))
    with pytest.raises(HarnessError, match=r"changed since arm \"big\" gave it"):
        open_run(job, Owners())


def test_a_file_of_others_is_no_teacher(make_job: MakeJob, tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "w.safetensors")
    job = with_parents(make_job(tricks=[KD]), as_teacher(tmp_path / "w.safetensors"))
    with pytest.raises(HarnessError, match="not written by the harness"):
        open_run(job, Owners())


def test_a_trick_that_makes_another_network_cannot_be_a_parents(make_job: MakeJob, tmp_path: Path) -> None:
    trick = tmp_path / "another_network.py"
    trick.write_text(
        "from dataclasses import dataclass\nfrom harness.contract import Trick, hookimpl\n"
        "@dataclass(frozen=True)\nclass Deeper(Trick):\n    def model(self, model, ctx):\n"
        "        from torch import nn\n        return nn.Sequential(model, nn.Linear(3, 3))\n"
        "@hookimpl\ndef harness_register(registry):\n    registry.add('trick', 'deeper', Deeper, summary='deeper')\n"
    )
    job = make_job(tricks=[component("deeper")], plugins=[TOYS, str(trick)])
    finish(job)  # alone it may
    with pytest.raises(
        HarnessError, match="is another arm's parent, and its tricks change what the backbone"
    ):
        open_run(replace(job, weights="somewhere"), Owners())


def test_a_job_that_does_not_bring_its_parents_is_refused(make_job: MakeJob) -> None:
    recipe = toy_recipe(tricks=[KD], parents={"teacher": {"arm": "big"}})
    with pytest.raises(HarnessError, match="does not say where its teacher is"):
        open_run(replace(make_job(), recipe=recipe), Owners())
    with pytest.raises(HarnessError, match="a component needs a teacher, and the arm names none"):
        open_run(make_job(tricks=[KD]), Owners())


def test_check_takes_a_parent_without_weights(make_job: MakeJob) -> None:
    entry = {"arm": "big", "recipe": WIDE, "classes": ["0", "1", "2"], "shapes": {"image": [1, 8, 8]}}
    assert check_arm(with_parents(make_job(tricks=[KD]), {"teacher": {**entry, "weights": None}})) == []
    with pytest.raises(
        HarnessError, match=r"init: the weights do not fit the backbone: 2\.weight is nowhere"
    ):
        check_arm(with_parents(make_job(), {"init": {**entry, "weights": None}}))


def test_a_disk_that_refuses_the_weights_is_not_the_arms_failure(make_job: MakeJob, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    job = replace(make_job(), weights=str(tmp_path / "file" / "w.safetensors"))
    with pytest.raises(StoreError, match="a file stands where a folder should be"):
        run_trial(job, report=lambda _: None, stop=lambda: False)


def test_replicates_at_once_have_their_own_parents_and_write_their_own_weights(
    make_job: MakeJob, tmp_path: Path
) -> None:
    parents, jobs, serial = [], [], []
    for replicate in range(2):
        parents.append(tmp_path / f"parent-{replicate}" / "w.safetensors")
        finish(replace(make_job(replicate=replicate), weights=str(parents[-1])))
        for kind, made in (("at-once", jobs), ("alone", serial)):
            child = with_parents(make_job(replicate=replicate, tricks=[KD]), as_teacher(parents[-1]))
            place = tmp_path / f"{kind}-{replicate}"
            place.mkdir()
            made.append(replace(child, folder=str(place), weights=str(place / "w" / "w.safetensors")))
    handed: dict[int, dict[str, Any]] = {}
    mode = {"together": 2, "probe_ratio": 1.0, "probe_loss_difference": 0.0, "reason": None}
    run_together(jobs, mode=mode, report=lambda _: None, stop=lambda: False, finished=handed.__setitem__)
    assert sorted(handed) == [0, 1]
    for number, job in enumerate(serial):
        assert handed[number]["status"] == "completed", handed[number]["culprit"]
        alone = finish(job)
        stored, other = load_file(jobs[number].weights or ""), load_file(job.weights or "")
        assert all(torch.allclose(stored[name], other[name], atol=1e-4) for name in other)
        assert alone["weights"]["bytes"] == handed[number]["weights"]["bytes"]
