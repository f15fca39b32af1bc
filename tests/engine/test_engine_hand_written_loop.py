"""With no trick the weights equal a hand-written PyTorch loop's, bit for bit, and an identity changes nothing."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.engine.culprit import Owners
from harness.engine.evaluate import predict
from harness.engine.first import first_step
from harness.engine.keys import Keys
from harness.engine.loop import steps
from harness.engine.trial import open_run, run_trial
from harness.suite.plan import Job

STEPS = 50


def trained(job: Job, count: int = STEPS) -> nn.Module:
    run = open_run(job, Owners())
    first_step(run, 0)
    for _ in steps(run, 1, count):
        pass
    return run.model


def philox(*parts: object) -> np.random.Generator:
    key = hashlib.blake2b("\x00".join(map(str, parts)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def hand_written(job: Job, count: int = STEPS) -> nn.Module:
    """What a researcher would write in a notebook, fed the same data, order, seeds and initial weights."""
    images = np.load(f"{job.data}/train.image.npy")
    labels = np.load(f"{job.data}/train.labels.npy")
    held, generator = [], philox(job.seed, 0, "", "validation split", 0)
    for label in range(3):
        members = np.flatnonzero(labels == label)
        held.extend(generator.permutation(members)[: round(0.1 * len(members))].tolist())
    ids = torch.tensor([i for i in range(len(labels)) if i not in set(held)])

    modality = job.manifest["modalities"]["image"]
    x = (torch.tensor(images).float() - torch.tensor(modality["mean"][0]).mul(255)) / torch.tensor(
        modality["std"][0]
    ).mul(255)
    y = torch.tensor(labels)

    params = job.recipe["backbone"]["params"]
    torch.manual_seed(
        int(philox(job.seed, job.replicate, "", "initial weights", 0).integers(0, 2**32, 1, np.uint64)[0])
    )
    layers = [nn.Flatten(), nn.Linear(64, params["width"])]
    layers += [nn.BatchNorm1d(params["width"])] if params["batch_norm"] else []
    layers += [nn.ReLU(), *([nn.Dropout(params["dropout"])] if params["dropout"] else [])]
    model = nn.Sequential(*layers, nn.Linear(params["width"], 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    size = job.recipe["batch_size"]
    per_epoch = len(ids) // size
    step = epoch = 0
    while True:
        order = philox(job.seed, job.replicate, "", "order", epoch).permutation(len(ids))
        seeds = philox(job.seed, job.replicate, "", "step", epoch).integers(0, 2**32, per_epoch, np.uint64)
        for index in range(per_epoch):
            chosen = ids[order[index * size : (index + 1) * size]]
            torch.manual_seed(int(seeds[index]))
            loss = F.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step == count:
                return model
        epoch += 1


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "params",
    [
        {"batch_norm": False, "dropout": 0.0},
        {"batch_norm": True, "dropout": 0.0},
        {"batch_norm": True, "dropout": 0.3},
    ],
)
def test_the_weights_equal_a_hand_written_loop_bit_for_bit(
    make_job: Callable[..., Job], params: dict
) -> None:
    job = make_job(
        backbone={"name": "toy-net", "params": {"width": 8, **params}},
        budget={"unit": "steps", "amount": STEPS},
    )
    ours, theirs = trained(job), hand_written(job)
    assert same(ours, theirs)
    assert not same(ours, hand_written(job, STEPS - 1))


@pytest.mark.parametrize("eager_bytes", [0, 2**30])
def test_images_kept_as_uint8_or_normalised_at_once_give_the_same_bits(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, eager_bytes: int
) -> None:
    monkeypatch.setattr("harness.engine.data.EAGER_BYTES", eager_bytes)
    job = make_job(budget={"unit": "steps", "amount": STEPS})
    assert same(trained(job), hand_written(job))


IDENTITIES = [
    ("augmentations", "toy-noise", {"strength": 0.0}, {"strength": 0.5}),
    ("tricks", "toy-penalty", {"weight": 0.0}, {"weight": 0.5}),
    ("tricks", "toy-ascent", {"rho": 0.0}, {"rho": 0.1}),
    ("tricks", "toy-parts", {"parts": 1}, {"parts": 3}),
]


@pytest.mark.parametrize(("kind", "name", "identity", "strong"), IDENTITIES)
def test_an_identity_changes_no_bit_and_a_strong_setting_does(
    make_job: Callable[..., Job], kind: str, name: str, identity: dict, strong: dict
) -> None:
    backbone = {"name": "toy-net", "params": {"width": 8, "batch_norm": True, "dropout": 0.2}}
    plain = make_job(backbone=backbone)
    baseline = run_trial(plain, report=lambda _: None, stop=lambda: False)
    assert baseline["status"] == "completed", baseline["culprit"]

    def digests(params: dict) -> dict:
        job = make_job(backbone=backbone, **{kind: [{"name": name, "params": params}]})
        outcome = run_trial(job, report=lambda _: None, stop=lambda: False)
        assert outcome["status"] == "completed", outcome["culprit"]
        return outcome["digests"]

    assert digests(identity) == baseline["digests"]
    other = digests(strong)
    assert other["final_weights"] != baseline["digests"]["final_weights"]
    assert (other["order"], other["initial_weights"]) == (
        baseline["digests"]["order"],
        baseline["digests"]["initial_weights"],
    )


def test_micro_batches_agree_with_the_whole_batch_where_no_batch_statistic_is_involved(
    make_job: Callable[..., Job],
) -> None:
    whole = trained(make_job())
    parts = trained(make_job(tricks=[{"name": "toy-parts", "params": {"parts": 3}}]))  # 8 = 3 + 3 + 2
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_seed_and_replicate_change_weights_and_order_and_the_same_repeat_them(
    make_job: Callable[..., Job],
) -> None:
    def digests(**where: int) -> dict:
        return run_trial(make_job(**where), report=lambda _: None, stop=lambda: False)["digests"]

    plain = digests()
    assert digests() == plain
    for other in (digests(seed=1), digests(replicate=1)):
        assert all(other[name] != plain[name] for name in plain)


def test_another_component_moves_nobodys_draws(make_job: Callable[..., Job]) -> None:
    def brightness(**changes: object) -> torch.Tensor:
        run = open_run(make_job(**changes), Owners())
        batches, _ = run.begin_epoch(2)
        batch = next(iter(batches))
        noisy = dict(zip(run.batch_labels, run.step.batch_functions, strict=True))["augmentation toy-noise"](
            batch
        )
        return noisy.image - batch.image

    noise = {"name": "toy-noise", "params": {"strength": 0.5}}
    alone = brightness(augmentations=[noise])
    beside = brightness(
        augmentations=[noise, {"name": "toy-noise", "params": {"strength": 0.1}}],
        tricks=[{"name": "toy-ascent", "params": {"rho": 0.1}}],
    )
    torch.testing.assert_close(alone, beside, rtol=0, atol=0)


def test_draws_follow_the_sample_whatever_batch_it_falls_into(make_job: Callable[..., Job]) -> None:
    noise = [{"name": "toy-noise", "params": {"strength": 1.0}}]

    def by_sample(batch_size: int) -> dict[int, float]:
        run = open_run(make_job(augmentations=noise, batch_size=batch_size), Owners())
        batches, _ = run.begin_epoch(1)
        shift = {}
        for batch in batches:
            moved = run.step.batch_functions[0](batch).image - batch.image
            shift |= dict(zip(batch.ids.tolist(), moved[:, 0, 0, 0].tolist(), strict=True))
        return shift

    small, large = by_sample(8), by_sample(20)
    common = small.keys() & large.keys()
    assert len(common) > 60
    assert all(abs(small[sample] - large[sample]) < 1e-6 for sample in common)


def test_keys_are_stable_across_releases() -> None:
    assert (
        Keys(0, 0).torch_seeds("initial weights", 0, 2)
        == philox(0, 0, "", "initial weights", 0).integers(0, 2**32, 2, np.uint64).tolist()
    )
    assert Keys(3, 1, "copy").generator("order", 4).integers(0, 1000, 4).tolist() == [156, 104, 975, 757]


def test_every_sample_is_judged_once_in_order_whatever_the_batch_size(make_job: Callable[..., Job]) -> None:
    def logits(size: int) -> torch.Tensor:
        run = open_run(make_job(evaluation={"batch_size": size}), Owners())
        return predict(run, run.model, run.data.test())

    assert logits(7).shape == (48, 3)
    torch.testing.assert_close(logits(7), logits(48))
