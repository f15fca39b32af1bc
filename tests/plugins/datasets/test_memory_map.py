"""`memory-map` gives the samples of the dataset that it is around, marked to be decoded to disk."""

import numpy as np
from PIL import Image

from harness.registry.discovery import discover
from harness_plugins.datasets.image_folder import ImageFolder
from harness_plugins.datasets.memory_map import MemoryMap
from harness_plugins.datasets.mnist import Mnist


def test_samples_are_those_of_the_dataset_and_both_splits_are_marked(tmp_path, pixels):
    for row, image in enumerate(pixels):
        path = tmp_path / ("train" if row < 4 else "test") / "ab"[row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    plain = ImageFolder().prepare(tmp_path)
    normal = {"name": "memory-map", "of": {"name": "image-folder"}}
    described, problems = discover(allow="first-party").validate("dataset", normal, "dataset")
    assert not problems
    mapped = discover(allow="first-party").build("dataset", described).prepare(tmp_path)
    for split, expected in ((mapped.train, plain.train), (mapped.test, plain.test)):
        assert split.inputs["image"].decode_once and not expected.inputs["image"].decode_once
        assert np.array_equal(np.asarray(split.inputs["image"]), np.asarray(expected.inputs["image"]))
        assert split.labels.tolist() == expected.labels.tolist()
    assert mapped.classes == plain.classes == ("a", "b")


def test_licence_and_the_meaning_of_labels_are_those_of_the_dataset():
    assert MemoryMap(of=Mnist()).licence == Mnist.licence
    assert MemoryMap(of=Mnist()).changes_label == Mnist.changes_label != frozenset()
