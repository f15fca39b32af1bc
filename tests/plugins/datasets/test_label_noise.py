"""Wrong labels: how many there are in each class, what they say, and what is left alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix

from harness.contract import Dataset, Prepared, Split
from harness.registry.discovery import discover
from harness_plugins.datasets.label_noise import LabelNoise, flipped


@dataclass(frozen=True)
class Animals(Dataset):
    """30 cats, 20 dogs, 10 deer; with versions, every second sample is one of the sample before it."""

    versions: bool = False

    licence = "made up"
    changes_label = frozenset({"rotation"})

    def prepare(self, root: Path | None) -> Prepared:
        labels = np.repeat(np.arange(3), (30, 20, 10))
        image = np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1)
        sources = np.arange(60) // 2 if self.versions else None
        test = Split({"image": image[:3] + 200}, np.array([0, 1, 2]))
        return Prepared(Split({"image": image}, labels, sources), test, ("cat", "dog", "deer"), ("one",))


def confusion(**params) -> list[list[int]]:
    """Return how often each class (row) is labelled as each (column), as scikit-learn counts it."""
    noisy = LabelNoise(of=Animals(), **params).prepare(None).train.labels
    counted: list[list[int]] = confusion_matrix(Animals().prepare(None).train.labels, noisy).tolist()
    return counted


def test_the_share_of_each_class_is_exact_and_its_own_label_is_never_drawn():
    """round(0.25 * 30) = 8 (of 7.5, to even), 5, and round(2.5) = 2."""
    counted = np.array(confusion(rate=0.25))
    assert np.diag(counted).tolist() == [22, 15, 8]
    assert counted.sum(1).tolist() == [30, 20, 10]


def test_pairs_go_to_the_next_class_or_to_the_one_that_is_given():
    assert confusion(rate=0.2, kind="pair") == [[24, 6, 0], [0, 16, 4], [2, 0, 8]]
    swapped = confusion(rate=0.5, kind="pair", pairs={"cat": "dog", "dog": "cat"})
    assert swapped == [[15, 15, 0], [10, 10, 0], [0, 0, 10]]


def test_the_ends_of_the_range():
    assert confusion(rate=0.0) == np.diag([30, 20, 10]).tolist()
    assert np.diag(confusion(rate=1.0)).tolist() == [0, 0, 0]


def test_wrong_labels_are_spread_evenly_over_the_others():
    """A chi-squared test that right code fails once in ten thousand seeds; the seed is fixed."""
    noisy = flipped(np.zeros(30_000, np.int64), 10, 1.0, None, seed=4)
    counted = np.bincount(noisy, minlength=10)
    assert counted[0] == 0
    assert stats.chisquare(counted[1:]).pvalue > 1e-4


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.floats(0, 1), st.floats(0, 1))
def test_the_wrong_labels_of_a_smaller_rate_are_among_those_of_a_larger(labels, one, other):
    true = np.array(labels, np.int64)
    less, more = (flipped(true, 5, rate, None, 7) for rate in sorted((one, other)))
    wrong = np.flatnonzero(less != true)
    assert np.array_equal(less[wrong], more[wrong])
    for label, count in enumerate(np.bincount(true, minlength=5)):
        assert (more[true == label] != label).sum() == round(max(one, other) * int(count))


def test_the_seed_decides_and_nothing_but_labels_changes():
    dataset = LabelNoise(of=Animals(), rate=0.4)
    prepared, plain = dataset.prepare(None), Animals().prepare(None)
    again, other = (LabelNoise(of=Animals(), rate=0.4, seed=seed).prepare(None) for seed in (0, 1))
    assert np.array_equal(prepared.train.labels, again.train.labels)
    assert not np.array_equal(prepared.train.labels, other.train.labels)
    assert np.array_equal(prepared.train.inputs["image"], plain.train.inputs["image"])
    assert np.array_equal(prepared.test.labels, plain.test.labels)
    assert (prepared.classes, prepared.skipped) == (plain.classes, plain.skipped)
    assert (dataset.licence, dataset.changes_label) == ("made up", {"rotation"})


def test_versions_of_one_image_share_their_label():
    train = LabelNoise(of=Animals(versions=True), rate=0.4).prepare(None).train
    pairs = train.labels.reshape(30, 2)
    assert np.array_equal(pairs[:, 0], pairs[:, 1])
    assert (pairs[:15, 0] != 0).sum() == round(0.4 * 15)
    assert np.array_equal(train.sources, np.arange(60) // 2)


def test_the_docstring_says_that_validation_is_noisy_too():
    text = " ".join((LabelNoise.__doc__ or "").split())
    assert "A validation split is carved from this training split, so its labels are wrong" in text


@pytest.mark.parametrize(
    ("params", "path", "message"),
    [
        ({"rate": 1.2}, "dataset.rate", "must be at most 1, not 1.2"),
        ({"rate": -0.1}, "dataset.rate", "must be at least 0, not -0.1"),
        ({"kind": "random"}, "dataset.kind", '"symmetric"'),
        ({"pairs": {"0": "1"}}, "dataset", 'pairs are for kind = "pair"'),
        ({"kind": "pair", "pairs": {"0": "0"}}, "dataset", "pairs takes 0 for itself"),
    ],
)
def test_what_cannot_be_is_refused_at_load(params, path, message):
    table = {"name": "label-noise", "of": "digits", **params}
    _, (problem,) = discover(allow="first-party").validate("dataset", table, "dataset")
    assert problem.path == path
    assert message in problem.message


def test_a_pair_of_a_class_that_is_not_there_names_the_parameter():
    with pytest.raises(ValueError, match=r'pairs names "dogs", which is no class; did you mean "dog"\?'):
        LabelNoise(of=Animals(), kind="pair", pairs={"cat": "dogs"}).prepare(None)
