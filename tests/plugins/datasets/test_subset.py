from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.subset import Subset, stratified


@dataclass(frozen=True)
class Hundred(Dataset):
    """60, 30 and 10 samples of three classes; the one pixel is the sample's number."""

    licence = "made up"
    changes_label = frozenset({"rotation"})

    def prepare(self, root):
        labels = np.array([0] * 60 + [1] * 30 + [2] * 10)[np.random.default_rng(0).permutation(100)]
        image = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
        test = Split({"image": image[:3] + 200}, np.array([0, 1, 2]))
        return Prepared(Split({"image": image}, labels), test, ("a", "b", "c"), ("one was damaged",))


def kept(**params):
    prepared = Subset(of=Hundred(), **params).prepare(None)
    return prepared.train.inputs["image"].ravel().tolist(), prepared


def test_classes_keep_their_shares_and_samples_their_order_and_labels():
    numbers, prepared = kept(samples=20)
    assert np.bincount(prepared.train.labels).tolist() == [12, 6, 2]
    assert numbers == sorted(numbers)
    assert np.array_equal(prepared.train.labels, Hundred().prepare(None).train.labels[numbers])


def test_fraction_and_samples_mean_the_same():
    assert kept(fraction=0.2)[0] == kept(samples=20)[0]
    assert kept(fraction=1.0)[0] == list(range(100))


def test_what_is_left_over_goes_to_the_largest_remainders():
    """7 of 60/30/10: quotas 4.2, 2.1, 0.7; rounded down 4, 2, 0; the one left over goes to the third."""
    assert np.bincount(kept(samples=7)[1].train.labels).tolist() == [4, 2, 1]


def test_the_test_split_the_classes_and_what_was_skipped_stay():
    _, prepared = kept(samples=5)
    assert prepared.test.labels.tolist() == [0, 1, 2]
    assert prepared.classes == ("a", "b", "c")
    assert prepared.skipped == ("one was damaged",)
    subset = Subset(of=Hundred(), samples=5)
    assert (subset.licence, subset.changes_label) == ("made up", {"rotation"})
    assert Subset.licence == "unknown"


def test_the_seed_alone_decides_which():
    assert kept(samples=30)[0] == kept(samples=30)[0]
    assert kept(samples=30)[0] != kept(samples=30, seed=1)[0]


def test_a_smaller_subset_is_part_of_a_larger_one():
    assert set(kept(samples=10)[0]) < set(kept(samples=50)[0])


@pytest.mark.parametrize("params", [{}, {"samples": 3, "fraction": 0.5}])
def test_exactly_one_of_samples_and_fraction_is_asked_for(params):
    with pytest.raises(ValueError, match="exactly one"):
        Subset(of=Hundred(), **params)


def test_more_than_there_is_is_refused_with_counts():
    with pytest.raises(ValueError, match="101 samples asked for, the training split has 100"):
        kept(samples=101)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.data())
def test_the_total_is_exact_and_no_class_is_off_by_one_or_more(labels, data):
    samples = data.draw(st.integers(1, len(labels)))
    array = np.array(labels, np.int64)
    chosen = stratified(array, samples, 5, seed=3)
    assert len(set(chosen.tolist())) == len(chosen) == samples
    shares = np.bincount(array, minlength=5) * samples / len(labels)
    assert (np.abs(np.bincount(array[chosen], minlength=5) - shares) < 1).all()
