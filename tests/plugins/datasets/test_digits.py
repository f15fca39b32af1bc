import numpy as np
import pytest
from sklearn.datasets import load_digits

from harness_plugins.datasets.digits import Digits


@pytest.fixture(scope="module")
def prepared():
    return Digits().prepare(None)


def test_both_splits_together_are_scikit_learns_digits(prepared):
    bunch = load_digits()
    image = np.concatenate([prepared.train.inputs["image"], prepared.test.inputs["image"]])
    labels = np.concatenate([prepared.train.labels, prepared.test.labels])
    assert image.shape == (1797, 1, 8, 8)
    assert image.dtype == np.uint8
    ours = {(one.tobytes(), int(label)) for one, label in zip(image, labels, strict=True)}
    theirs = {
        (bytes(int(value * 255 / 16 + 0.5) for value in one.ravel()), int(label))
        for one, label in zip(bunch.images, bunch.target, strict=True)
    }
    assert ours == theirs
    assert len(ours) == 1797  # no two are equal, so none can be in both splits
    assert image.min() == 0
    assert image.max() == 255


def test_thirty_percent_of_each_class_are_tested_on(prepared):
    test, all_ = np.bincount(prepared.test.labels), np.bincount(load_digits().target)
    assert (np.abs(test - 0.3 * all_) <= 0.5).all()
    assert len(prepared.classes) == 10


def test_the_split_is_the_same_every_time(prepared):
    again = Digits().prepare(None)
    assert np.array_equal(again.test.inputs["image"], prepared.test.inputs["image"])


def test_mirrored_digits_are_named_as_changed_whichever_augmentation_mirrors_them():
    assert {"horizontal-flip", "alternating-flip", "vertical-flip"} <= Digits.changes_label
