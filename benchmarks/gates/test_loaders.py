"""Our loaders against the usual torchvision DataLoader: images a second into normalised, augmented batches.

Both sides read the same image files, crop after padding by 4 and flip, with the same two workers, and are
interleaved inside one function, each going on through its epochs: starting workers is on neither's clock. The
usual side is what tutorials have: PIL, a sample at a time, augmented and normalised in the workers. Ours decodes in
the workers (`stream`) or has decoded (`memory`), and crops, flips and normalises the batch. Wanted: at least 1.5
times the usual rate, at 32x32 (PNG) and at 200x200 (JPEG).

Files are made of CIFAR-10 and of neu_cls where HARNESS_DATA has them, else of smooth noise.
"""

import io
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from harness.engine.culprit import Owners
from harness.engine.trial import open_run
from harness.registry.discovery import discover
from harness.suite.prepare import prepare
from harness.testing.jobs import TOYS, component, toy_job

BATCH, WORKERS, ROUNDS, FLOOR = 64, 2, 7, 1.5
SKIPPED = 2 * WORKERS + 1
"""Batches ahead of the clock: what was read ahead while the other side had its turn."""


@dataclass(frozen=True)
class Pictures:
    """What the files are made of, and how many batches a measurement takes."""

    folder: str
    pattern: str
    column: str
    count: int
    kind: str
    batches: int


SETS = {
    32: Pictures("cifar10", "train-00000*.parquet", "img", 6400, "PNG", 160),
    200: Pictures("neu_cls", "train*.parquet", "image", 960, "JPEG", 30),
}


def pictures(side: int) -> Iterator[Image.Image]:
    """Yield images, uint8 (side, side, 3)."""
    made_of = SETS[side]
    place = Path(os.environ.get("HARNESS_DATA") or "absent") / made_of.folder
    files = sorted(place.glob(made_of.pattern))
    if files:
        table = parquet.read_table(files[0], columns=[made_of.column])
        for cell in table.column(made_of.column).slice(0, made_of.count).to_pylist():
            yield Image.open(io.BytesIO(cell["bytes"])).convert("RGB")
        return
    generator = np.random.default_rng(0)
    for _ in range(made_of.count):
        coarse = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        yield coarse.resize((side, side), Image.Resampling.BICUBIC)


def write_files(root: Path, side: int) -> None:
    """Write a training and a test folder, with a folder for each of two classes."""
    kind = SETS[side].kind
    for number, picture in enumerate(pictures(side)):
        place = root / ("test" if number % 10 == 9 else "train") / f"class-{number // 10 % 2}"
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{number:05}.{kind.lower()}", kind)


def usual(root: Path, side: int) -> Callable[[], float]:
    """Return what measures the usual loader, in images a second."""
    transform = v2.Compose(
        [
            v2.RandomCrop(side, padding=4),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    loader = DataLoader(
        ImageFolder(str(root / "train"), transform),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    return rate_of(lambda: (images for images, _ in loader), side)


def ours(root: Path, cache: Path, side: int, mode: str) -> Callable[[], float]:
    """Return what measures ours, in images a second."""
    registry = discover([Path(TOYS)])
    table = {"name": "image-folder"}
    dataset, problems = registry.validate("dataset", table, "recipe.dataset")
    assert not problems
    made = prepare(dataset, registry, root, cache, mode=mode)  # type: ignore[arg-type]
    augmentations = [component("padded-crop", padding=4), component("horizontal-flip", probability=0.5)]
    job = toy_job(
        made.folder,
        made.manifest,
        cache,
        plugins=(TOYS,),
        dataset={**dataset, "validation": 0.0},
        augmentations=augmentations,
        batch_size=BATCH,
        budget={"unit": "epochs", "amount": 1000},
    )
    loader = {"mode": mode, "workers": WORKERS}
    run = open_run(replace(job, data_root=str(root), loader=loader), Owners())
    assert (run.loader.mode, run.loader.workers) == (mode, WORKERS)
    step = count()

    def epoch() -> Iterator[torch.Tensor]:
        # It goes on where the last measurement ended, as a training does.
        number, start = divmod(next(step), run.steps_per_epoch)
        batches, _ = run.begin_epoch(number, start)
        for index, batch in enumerate(batches, start):
            run.moment.index = index
            if index > start:
                next(step)
            for function in run.step.batch_functions:
                batch = function(batch)
            yield batch.image

    return rate_of(epoch, side)


def rate_of(epoch: Callable[[], Iterator[torch.Tensor]], side: int) -> Callable[[], float]:
    """Return a function that goes through so many batches, over epochs, and returns images a second."""

    def rate() -> float:
        batches = chain.from_iterable(epoch() for _ in count())
        for images in islice(batches, SKIPPED):
            assert images.dtype == torch.float32 and images.shape == (BATCH, 3, side, side)
        begun = time.perf_counter()
        taken = sum(len(images) for images in islice(batches, SETS[side].batches))
        return taken / (time.perf_counter() - begun)

    return rate


def interleaved(sides: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Run the sides in turn, and compare the second with the first."""
    torch.set_num_threads(1)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(ROUNDS + 1):
        for name, rate in sides.items() if round_ % 2 else reversed(sides.items()):
            measured = rate()
            if round_:  # the first round starts the workers
                rates[name].append(measured)
    (first, base), (second, mine) = rates.items()
    return {
        "ratio": statistics.median(one / other for one, other in zip(mine, base, strict=True)),
        f"{first}_images_per_second": statistics.median(base),
        f"{second}_images_per_second": statistics.median(mine),
    }


@pytest.mark.parametrize("side", SETS)
@pytest.mark.parametrize("mode", ["memory", "stream"])
def test_a_loader_against_the_usual_one(benchmark: Any, tmp_path: Path, side: int, mode: str) -> None:
    root = tmp_path / "files"
    write_files(root, side)
    sides = {"usual": usual(root, side), "ours": ours(root, tmp_path, side, mode)}
    figures = benchmark.pedantic(interleaved, args=(sides,), rounds=1)
    benchmark.extra_info.update(figures)
    print(f"{mode} at {side}x{side}: {figures}")
    assert figures["ratio"] >= FLOOR
