"""torchvision's transforms, with a draw for each sample."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from harness.contract import Batch
from harness.engine.keys import Draws, Keys, Moment
from harness_plugins.augmentations.torchvision_transform import TorchvisionTransform


class Seeding:
    """What the component asks of its context."""

    def __init__(self, seed: int = 0, epoch: int = 0, samples: int = 100) -> None:
        self.draws = Draws(Keys(seed, 0), samples, 10, torch.device("cpu"), Moment())
        self.epoch = epoch

    def sample_seeds(self, name: str):
        seeds = self.draws.seeds(name)
        self.draws.begin_epoch(self.epoch)
        return seeds


def batch(ids, pixels=None):
    image = (
        np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8) if pixels is None else pixels
    )
    images = torch.from_numpy(image).expand(len(ids), 3, 16, 16).contiguous()
    return Batch({"image": images}, torch.zeros(len(ids), dtype=torch.int64), torch.tensor(ids))


NAMES = [
    ("RandAugment", {"num_ops": 2, "magnitude": 9}),
    ("TrivialAugmentWide", {}),
    ("AutoAugment", {}),
    ("ColorJitter", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}),
    ("RandomAffine", {"degrees": 30.0, "translate": [0.2, 0.2]}),
    ("RandomResizedCrop", {"size": 12}),
    ("RandomErasing", {"p": 0.9}),
]


@pytest.mark.parametrize(("name", "options"), NAMES)
def test_identical_images_come_out_different_and_by_their_ids_alone(name, options):
    transform = TorchvisionTransform(name, options)
    whole = transform.bind(Seeding())(batch(range(40))).image
    assert whole.dtype == torch.uint8
    assert len({bytes(image.numpy().tobytes()) for image in whole}) > 10
    ids = [17, 3, 39]
    alone = transform.bind(Seeding())(batch(ids)).image
    assert torch.equal(alone, whole[ids])
    assert not torch.equal(transform.bind(Seeding(epoch=1))(batch(range(40))).image, whole)
    assert not torch.equal(transform.bind(Seeding(seed=1))(batch(range(40))).image, whole)


@pytest.mark.parametrize(("name", "options"), NAMES)
def test_a_sample_is_what_torchvision_gives_after_its_seed(name, options):
    ctx = Seeding()
    made = TorchvisionTransform(name, options).bind(ctx)(batch([5, 61])).image
    seeds = ctx.draws.seeds("transform")(torch.tensor([5, 61]))
    assert all(0 <= seed < 2**63 for seed in seeds) and len(set(seeds)) == 2
    for image, seed in zip(made, seeds, strict=True):
        torch.manual_seed(seed)
        assert torch.equal(image, getattr(v2, name)(**options)(batch([0]).image[0]))


def test_seeds_are_spread_and_differ_by_epoch_and_sample():
    first, second = (Seeding(epoch=epoch).draws for epoch in (0, 1))
    tables = []
    for epoch, draws in enumerate((first, second)):
        seeds = draws.seeds("transform")
        draws.begin_epoch(epoch)
        tables.append(seeds(torch.arange(100)))
    assert len({*tables[0], *tables[1]}) == 200
    # 200 draws from 0 to 2^63: the mean lies within 5 standard errors of the middle
    assert abs(np.mean(np.array(tables) / 2.0**63) - 0.5) < 5 / np.sqrt(12 * 200)


def test_names_and_options_that_do_not_fit_are_explained():
    with pytest.raises(ValueError, match='no transform "RandAugmnt"; did you mean torchvision:RandAugment'):
        TorchvisionTransform("RandAugmnt").bind(Seeding())
    with pytest.raises(ValueError, match=r"torchvision:RandAugment with \{'depth': 3\}: .*depth"):
        TorchvisionTransform("RandAugment", {"depth": 3}).bind(Seeding())
    with pytest.raises(ValueError, match="gives images of several sizes"):
        several = {"min_size": 8, "max_size": 16}
        TorchvisionTransform("RandomResize", several).bind(Seeding())(batch(range(20)))


def test_a_transform_trains_the_same_in_workers_and_here(tmp_path):
    from dataclasses import replace

    from harness.engine.trial import run_trial
    from harness.testing.jobs import component, toy_job, write_toy_data

    manifest = write_toy_data(tmp_path)
    augmentation = component(
        "torchvision:RandAugment", model="RandAugment", options={"num_ops": 2, "magnitude": 15}
    )
    job = toy_job(tmp_path, manifest, tmp_path, augmentations=[augmentation])
    found = []
    for workers in (0, 2):
        one = replace(job, loader={"mode": "auto", "workers": workers})
        outcome = run_trial(one, report=lambda _: None, stop=lambda: False)
        assert outcome["status"] == "completed", outcome["culprit"]
        assert outcome["changes"] == []
        assert outcome["loader"]["mode"] == "memory" and outcome["loader"]["workers"] == workers
        found.append(outcome["digests"])
    assert found[0] == found[1]
    plain = run_trial(
        replace(job, recipe={**job.recipe, "augmentations": []}), report=print, stop=lambda: False
    )
    assert plain["digests"]["order"] == found[0]["order"]
    assert plain["digests"]["final_weights"] != found[0]["final_weights"]
