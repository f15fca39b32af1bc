"""What is decoded as it is read gives the same samples in every mode of the loader."""

import csv
import dataclasses
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.engine.culprit import Owners
from harness.engine.trial import open_run
from harness.registry.discovery import discover
from harness.suite.prepare import prepare
from harness.testing.jobs import TOYS, component, toy_job

COUNTS = {"train": 40, "val": 8}
WAYS = [("memory", 0), ("memory", 1), ("stream", 0), ("stream", 1)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures of three sizes as ImageNet's folders, as a list, and as tar files."""
    root = tmp_path_factory.mktemp("root")
    generator = np.random.default_rng(0)
    lines = [("path", "label", "split")]
    for split, count in COUNTS.items():
        with tarfile.open(root / f"{split}.tar", "w") as archive:
            for number in range(count):
                height, width = [(12, 16), (16, 12), (14, 14)][number % 3]
                buffer = io.BytesIO()
                pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(buffer, "JPEG" if number % 2 else "PNG")
                path = (
                    root
                    / "imagenet"
                    / split
                    / f"n{number % 2}"
                    / f"{number}.{'jpeg' if number % 2 else 'png'}"
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(buffer.getvalue())
                lines.append((str(path.relative_to(root)), f"n{number % 2}", split))
                for suffix, data in ((path.suffix, buffer.getvalue()), (".cls", str(number % 2).encode())):
                    info = tarfile.TarInfo(f"{number:03d}{suffix}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return root


DATASETS = {
    "imagenet": {"size": [10, 12], "resize": 12},
    "csv": {"file": "list.csv", "test": "val", "size": [10, 12]},
    "shards": {"train": "train.tar", "test": "val.tar", "size": [10, 12]},
}


@pytest.mark.parametrize("name", DATASETS)
def test_every_mode_gives_the_same_batches(name, root, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    registry = discover([Path(TOYS)])
    normal, problems = registry.validate("dataset", {"name": name, **DATASETS[name]}, "dataset")
    assert not problems
    decoded = prepare(normal, registry, root, tmp_path / "cache", mode="memory")
    encoded = prepare(normal, registry, root, tmp_path / "encoded", mode="stream")
    assert decoded.manifest == encoded.manifest
    assert not list(encoded.folder.glob("*.image.npy"))

    def batches(mode, workers):
        made = encoded if mode == "stream" else decoded
        backbone = component("toy-net", width=8, batch_norm=False, dropout=0.0)
        job = toy_job(made.folder, made.manifest, tmp_path, dataset=normal, backbone=backbone)
        loader = {"mode": mode, "workers": workers}
        run = open_run(dataclasses.replace(job, data_root=str(root), loader=loader), Owners())
        try:
            return [batch for epoch in range(2) for batch in run.begin_epoch(epoch)[0]]
        finally:
            run.loader.close()

    expected = batches("resident", 0)
    assert len(expected) > 2 and expected[0].image.shape[1:] == (3, 10, 12)
    assert not torch.equal(expected[0].image, expected[1].image)
    for mode, workers in WAYS:
        found = batches(mode, workers)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one.image, other.image)
            assert torch.equal(one.ids, other.ids) and torch.equal(one.target, other.target)


def test_a_missing_library_is_one_clear_error(tmp_path, monkeypatch):
    """As `harness prepare` and `run` meet it."""
    import sys

    from harness.errors import HarnessError

    monkeypatch.setitem(sys.modules, "datasets", None)
    registry = discover([Path(TOYS)])
    normal, _ = registry.validate("dataset", {"name": "hub", "path": "owner/set"}, "dataset")
    with pytest.raises(HarnessError, match=r"hub.*pip install harness-bench\[data\]"):
        prepare(normal, registry, tmp_path, tmp_path / "cache")
