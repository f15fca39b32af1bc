"""Long tails and steps: the published class counts, and which samples are kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import Dataset, Images, Prepared, Split
from harness.registry.discovery import discover
from harness_plugins.datasets.imbalance import Imbalance, class_sizes


class Undecodable(Images):
    """Images of which nothing may be read."""

    def __init__(self, count: int) -> None:
        self._count = count

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self._count, 3, 4, 4)

    def read(self, rows: np.ndarray) -> np.ndarray:
        raise AssertionError(f"decoded {rows}")


@dataclass(frozen=True)
class Classes(Dataset):
    """Samples of "a", "b", "c" (40 each unless said), mixed; the one pixel is the sample's number."""

    counts: tuple[int, ...] = (40, 40, 40)
    encoded: bool = False
    versions: bool = False

    licence = "made up"
    changes_label = frozenset({"rotation"})

    def prepare(self, root: Path | None) -> Prepared:
        labels = np.repeat(np.arange(len(self.counts)), self.counts)
        labels = labels[np.random.default_rng(0).permutation(len(labels))]
        image = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
        images = Undecodable(len(labels)) if self.encoded else image
        sources = np.arange(len(labels)) // 2 if self.versions else None
        test = Split({"image": image[:3] + 200}, np.array([0, 1, 2]))
        return Prepared(
            Split({"image": images}, labels, sources), test, ("a", "b", "c"), ("one was damaged",)
        )


def kept(counts: tuple[int, ...] = (40, 40, 40), **params) -> list[int]:
    return Imbalance(of=Classes(counts), **params).prepare(None).train.inputs["image"].ravel().tolist()


def counts_of(counts: tuple[int, ...] = (40, 40, 40), **params) -> list[int]:
    return np.bincount(Imbalance(of=Classes(counts), **params).prepare(None).train.labels).tolist()


@pytest.mark.parametrize(
    ("classes", "largest", "factor", "total"),
    [
        (10, 5000, 10, 20431),
        (10, 5000, 50, 13996),
        (10, 5000, 100, 12406),
        (100, 500, 10, 19573),
        (100, 500, 50, 12608),
        (100, 500, 100, 10847),
    ],
)
def test_the_sizes_are_those_of_the_published_long_tailed_cifar_sets(classes, largest, factor, total):
    """The totals that papers print of CIFAR-10-LT and CIFAR-100-LT (Cui et al. 2019; Cao et al. 2019)."""
    sizes = class_sizes(classes, largest, factor, "long-tail", 0.5)
    assert sum(sizes) == total
    assert (sizes[0], sizes[-1]) == (largest, largest // factor)


def test_cifar_10_with_a_factor_of_100_class_by_class():
    expected = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert class_sizes(10, 5000, 100, "long-tail", 0.5) == expected


def test_a_size_that_is_whole_but_for_rounding_stays():
    """32 * 32^(-2/5) is 8, and 7.999999999999999 in floating point."""
    assert 32 * 32 ** (-2 / 5) < 8
    assert class_sizes(6, 32, 32, "long-tail", 0.5) == [32, 16, 8, 4, 2, 1]


def test_a_step_halves_the_classes_or_takes_the_share_that_is_asked_for():
    assert class_sizes(4, 50, 10, "step", 0.5) == [50, 50, 5, 5]
    assert class_sizes(5, 50, 7, "step", 0.4) == [50, 50, 50, 7, 7]
    assert counts_of(shape="step", factor=4, step_share=0.3) == [40, 40, 10]


def test_n_max_is_the_smallest_class_unless_it_is_given():
    """30 * 4^(-1/2) = 15 and 30 / 4 = 7.5."""
    assert counts_of((60, 30, 40), factor=4) == [30, 15, 7]
    assert counts_of((60, 30, 40), factor=4, largest=60) == [60, 30, 15]
    assert counts_of(factor=1) == [40, 40, 40]


def test_the_order_says_which_class_is_large():
    assert counts_of(factor=4, order=("c", "a", "b")) == [20, 10, 40]


def test_samples_keep_their_order_and_labels_and_everything_else_stays():
    dataset = Imbalance(of=Classes(), factor=10)
    prepared = dataset.prepare(None)
    numbers = prepared.train.inputs["image"].ravel()
    assert np.all(np.diff(numbers.astype(int)) > 0)
    assert np.array_equal(prepared.train.labels, Classes().prepare(None).train.labels[numbers])
    assert prepared.test.labels.tolist() == [0, 1, 2]
    assert (prepared.classes, prepared.skipped) == (("a", "b", "c"), ("one was damaged",))
    assert (dataset.licence, dataset.changes_label) == ("made up", {"rotation"})


def test_the_seed_alone_decides_which():
    assert kept(factor=10) == kept(factor=10) != kept(factor=10, seed=1)


@settings(max_examples=30)
@given(st.floats(1, 40), st.floats(1, 40))
def test_those_of_a_larger_factor_are_among_those_of_a_smaller(one, other):
    assert set(kept(factor=max(one, other))) <= set(kept(factor=min(one, other)))


def test_rows_are_selected_and_nothing_is_decoded_and_versions_keep_their_sources():
    prepared = Imbalance(of=Classes(encoded=True, versions=True), factor=4).prepare(None)
    assert isinstance(prepared.train.inputs["image"], Images)
    assert len(prepared.train.inputs["image"]) == 40 + 20 + 10
    assert np.array_equal(prepared.train.sources, np.array(kept(factor=4)) // 2)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"largest": 41}, r'largest = 41 asks for 41 samples of class "a", which has 40'),
        ({"factor": 50}, r'factor = 50 leaves no sample of class "c" where the largest class has 40'),
        ({"order": ("a", "b")}, r"order names 2 classes, the dataset has 3"),
        ({"order": ("a", "b", "cc")}, r'order names "cc", which is no class; did you mean "c"\?'),
        ({"order": ("a", "b", "b")}, r"order names b more than once"),
    ],
)
def test_what_does_not_fit_the_classes_names_the_parameter(params, message):
    with pytest.raises(ValueError, match=message):
        Imbalance(of=Classes(), **params).prepare(None)


@pytest.mark.parametrize(
    ("params", "path", "message"),
    [
        ({"factor": 0.5}, "dataset.factor", "must be at least 1"),
        ({"shape": "tail"}, "dataset.shape", '"long-tail"'),
        ({"step_share": 1.0}, "dataset.step_share", "must be less than 1"),
    ],
)
def test_a_parameter_out_of_range_is_refused_at_load(params, path, message):
    table = {"name": "imbalance", "of": "digits", **params}
    _, (problem,) = discover(allow="first-party").validate("dataset", table, "dataset")
    assert problem.path == path
    assert message in problem.message
