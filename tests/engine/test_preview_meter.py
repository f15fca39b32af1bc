"""The meter of a preview: Wasserstein distances against scipy's, features worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from harness.engine.preview_meter import FEATURES, distances, features, summary, wasserstein

numbers = st.lists(st.integers(-300, 300).map(lambda n: n / 4), min_size=1, max_size=30)


@settings(max_examples=200)
@given(numbers, numbers)
def test_the_distance_is_that_of_scipy_whatever_the_sizes(one: list[float], other: list[float]) -> None:
    found = wasserstein(np.array(one, np.float32), np.array(other, np.float32))
    assert found == pytest.approx(wasserstein_distance(one, other), abs=1e-6)


def test_the_distance_of_many_values_in_any_shape() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(0, 1, (40, 3, 5)), generator.normal(0.5, 2, (40, 3, 5))
    assert wasserstein(one, other) == pytest.approx(wasserstein_distance(one.ravel(), other.ravel()))
    assert wasserstein(one, one[::-1]) == 0.0


def test_features_by_hand() -> None:
    image = np.array([[[[0.0, 10.0], [20.0, 60.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    found = features(image)
    assert found["brightness"] == pytest.approx([90 / 8])
    # Mean of squares (100 + 400 + 3600) / 8 = 512.5, less the square of the mean 11.25.
    assert found["contrast"] == pytest.approx([(512.5 - 11.25**2) ** 0.5])
    # Across: 10 and 40, down: 20 and 50, and four zeros of the second channel: 120 over eight neighbours.
    assert found["edges"] == pytest.approx([15.0])
    assert found["saturation"] == pytest.approx([22.5])
    assert "saturation" not in features(image[:, :1])


def test_images_of_one_pixel_have_no_edges() -> None:
    assert "edges" not in features(np.ones((2, 3, 1, 1)))


def test_a_shift_moves_pixels_and_brightness_by_itself_and_nothing_else() -> None:
    before = np.random.default_rng(1).uniform(0, 200, (12, 3, 6, 6)).astype(np.float32)
    labels = np.arange(12) % 2
    after = before.copy()
    after[labels == 1] += 8.0
    moved = distances(before, after, labels, ["still", "moved", "absent"])
    assert list(moved) == ["still", "moved"]
    assert all(value == 0.0 for value in moved["still"].values())
    expected = {"pixels": 8.0, "brightness": 8.0, "contrast": 0.0, "edges": 0.0, "saturation": 0.0}
    assert moved["moved"] == pytest.approx(expected, abs=1e-4)
    told = summary(moved)
    assert told["pixels"] == {"mean": pytest.approx(4.0), "highest": pytest.approx(8.0), "class": "moved"}


def test_a_mirror_moves_no_distribution_and_another_size_can_be_measured() -> None:
    before = np.random.default_rng(2).uniform(0, 255, (6, 1, 4, 4))
    labels = np.zeros(6, int)
    mirrored = distances(before, before[..., ::-1], labels, ["a"])["a"]
    assert mirrored["saturation"] is None and mirrored["pixels"] == 0.0
    assert mirrored["edges"] == pytest.approx(0.0, abs=1e-9)
    larger = before.repeat(2, axis=2).repeat(2, axis=3)
    assert distances(before, larger, labels, ["a"])["a"]["pixels"] == pytest.approx(0.0, abs=1e-9)
    assert summary({"a": mirrored})["saturation"] is None
    assert set(mirrored) == set(FEATURES)
