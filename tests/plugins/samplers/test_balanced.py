import numpy as np
import pytest

from harness_plugins.samplers.balanced import Balanced


def counts(order, labels, classes):
    return np.bincount(labels[order], minlength=classes)


@pytest.mark.parametrize("sizes", [(90, 9, 1), (10, 10, 10), (7, 50, 3, 41)])
def test_classes_come_equally_often_and_samples_of_a_class_too(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order = Balanced().order(labels, np.random.default_rng(0))
    assert order.dtype == np.int64 and order.shape == labels.shape
    of_classes = counts(order, labels, len(sizes))
    assert of_classes.max() - of_classes.min() <= 1
    seen = np.bincount(order, minlength=len(labels))
    for label in range(len(sizes)):
        of_samples = seen[labels == label]
        assert of_samples.max() - of_samples.min() <= 1


def test_balanced_data_is_a_permutation():
    labels = np.arange(40) % 4
    assert sorted(Balanced().order(labels, np.random.default_rng(1)).tolist()) == list(range(40))


def test_the_order_is_random_and_keyed():
    labels = np.repeat([0, 1], [30, 10])
    first, again, other = (Balanced().order(labels, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    # classes are mixed, not one after the other: some 20 changes of class of 39 places are to be expected
    assert (np.diff(labels[first]) != 0).sum() > 10
