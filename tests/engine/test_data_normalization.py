"""What images are normalised by: as measured, or as the suite gives it, wherever it is used."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.contract import Batch
from harness.engine.culprit import Owners
from harness.engine.trial import open_run
from harness.registry.discovery import discover
from harness.suite.prepare import prepare
from harness.testing.jobs import TOYS, component, toy_job

PLUGIN = str(Path(__file__).parent / "encoded_toys.py")
GIVEN = {"mean": [0.4], "std": [0.2]}

LOOKING = '''
import json
from dataclasses import dataclass
from pathlib import Path
from harness.contract import Augmentation, hookimpl

@dataclass(frozen=True)
class Looking(Augmentation):
    """Writes down the statistics that it is told."""
    placement = "PLACEMENT"
    def bind(self, ctx):
        Path("FILE").write_text(json.dumps([ctx.image_mean.tolist(), ctx.image_std.tolist()]))

@hookimpl
def harness_register(registry):
    registry.add("augmentation", "looking", Looking, summary="looks")
'''


@pytest.fixture
def open_with(tmp_path: Path) -> Callable[..., Any]:
    def open_one(
        mode: str, normalization: dict[str, Any] | None, layout: bool = False, **changes: Any
    ) -> Any:
        more = {} if normalization is None else {"normalization": normalization}
        dataset = {**component("encoded", samples=96, skip_damaged=False), "validation": 0.25, **more}
        files = [TOYS, PLUGIN, *changes.pop("files", [])]
        made = prepare(
            dataset, discover([Path(f) for f in files]), tmp_path, tmp_path / "cache", mode="memory"
        )
        job = toy_job(made.folder, made.manifest, tmp_path, plugins=files, dataset=dataset, **changes)
        job.recipe["numerics"]["channels_last"] = layout
        job = dataclasses.replace(job, data_root=str(tmp_path), loader={"mode": mode, "workers": 0})
        return open_run(job, Owners()), np.load(made.folder / "train.image.npy"), made

    return open_one


@pytest.mark.parametrize("layout", [False, True])
@pytest.mark.parametrize("mode", ["resident", "memory", "stream"])
def test_pixels_are_shares_of_full_scale_less_the_mean_over_the_deviation(open_with, mode, layout):
    run, pixels, made = open_with(mode, GIVEN, layout)
    mean, std = 0.4, 0.2
    ids = run.data.train.ids[:20]
    expected = (pixels[ids] / 255 - mean) / std
    np.testing.assert_allclose(run.data.train.take(ids).numpy(), expected, atol=2e-6)
    np.testing.assert_allclose(
        run.data.validation.take(run.data.validation.ids).numpy(),
        (pixels[run.data.validation.ids] / 255 - mean) / std,
        atol=2e-6,
    )
    test = run.data.test()
    np.testing.assert_allclose(
        test.take(test.ids).numpy(), (np.load(made.folder / "test.image.npy") / 255 - mean) / std, atol=2e-6
    )
    batch: Batch = next(run.training_batches(1))
    np.testing.assert_allclose(batch.image.numpy(), (pixels[batch.ids] / 255 - mean) / std, atol=2e-6)
    run.loader.close()


def test_without_it_the_training_split_is_measured(open_with):
    """Mean 0 and deviation 1 over the whole training split, to float precision."""
    run, _, _ = open_with("resident", None)
    every = torch.cat([run.data.train.ids, run.data.validation.ids])
    images = run.data.train.take(every).double()
    assert abs(images.mean()) < 1e-5
    assert abs(images.std(correction=0) - 1) < 1e-5


@pytest.mark.parametrize("placement", ["device", "loader"])
@pytest.mark.parametrize("normalization", [None, GIVEN])
def test_components_are_told_what_images_are_normalised_by(open_with, tmp_path, normalization, placement):
    file = tmp_path / "looking.py"
    file.write_text(LOOKING.replace("PLACEMENT", placement).replace("FILE", str(tmp_path / "seen")))
    run, pixels, _ = open_with(
        "memory", normalization, augmentations=[component("looking")], files=[str(file)]
    )
    told = json.loads((tmp_path / "seen").read_text())
    mean, std = (0.4, 0.2) if normalization else (pixels.mean() / 255, pixels.std() / 255)
    np.testing.assert_allclose(told, [[mean], [std]], rtol=1e-5)
    run.loader.close()
