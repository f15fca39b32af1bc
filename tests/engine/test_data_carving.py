"""The validation split where there are several versions of an image."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from harness.engine.data import carve


class Reversed:
    """Draws by turning the order round: what is held out can be written down."""

    def permutation(self, members: np.ndarray) -> np.ndarray:
        return members[::-1]


def test_by_hand() -> None:
    """Images 5, 6, 7, 8 in versions; of class 0 the images 5 and 7, of class 1 the images 6 and 8.

    Rows         0  1  2  3  4  5  6  7
    Source       5  6  7  8  5  6  5  7
    Label        0  1  0  1  0  1  0  0
    Half of each class, drawn from the end: image 7 (rows 2 and 7) and image 8 (row 3).
    """
    sources, labels = np.array([5, 6, 7, 8, 5, 6, 5, 7]), np.array([0, 1, 0, 1, 0, 1, 0, 0])
    train, validation = carve(labels, 0.5, Reversed(), sources)
    assert validation.tolist() == [2, 3]
    assert train.tolist() == [0, 1, 4, 5, 6]


@settings(max_examples=80)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.floats(0, 0.9), st.integers(0, 9))
def test_no_image_is_on_both_sides_and_none_is_lost(numbers: list[int], share: float, seed: int) -> None:
    sources = np.array(numbers)
    labels = sources % 3
    train, validation = carve(labels, share, np.random.default_rng(seed), sources)
    assert set(sources[train]).isdisjoint(sources[validation])
    assert set(sources[train]) | set(sources[validation]) == set(numbers)
    assert [numbers.index(source) for source in sources[validation]] == validation.tolist()
    assert np.array_equal(np.flatnonzero(np.isin(sources, sources[train])), train)
    for label in range(3):
        images = len({number for number in numbers if number % 3 == label})
        assert (labels[validation] == label).sum() == round(share * images)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(0, 0.9))
def test_where_every_sample_is_its_own_image_sources_change_nothing(labels: list[int], share: float) -> None:
    one, other = (
        carve(np.array(labels), share, np.random.default_rng(1), sources)
        for sources in (None, np.arange(len(labels)) + 40)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_class_shares_are_those_of_scikit_learns_stratified_split() -> None:
    labels = np.repeat([0, 1, 2], (60, 30, 10))
    _, expected = train_test_split(labels, test_size=0.2, stratify=labels, random_state=0)
    versions = np.tile(labels, 3)
    _, validation = carve(versions, 0.2, np.random.default_rng(0), np.tile(np.arange(100), 3))
    assert np.bincount(versions[validation]).tolist() == np.bincount(expected).tolist()
