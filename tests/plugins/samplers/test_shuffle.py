import numpy as np

from harness_plugins.samplers.shuffle import Shuffle


def test_an_epoch_holds_every_sample_once_and_not_in_order():
    labels = np.zeros(500, np.int64)
    order = Shuffle().order(labels, np.random.Generator(np.random.Philox(1)))
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(500))
    assert order.tolist() != list(range(500))


def test_the_generator_alone_decides_the_order():
    labels = np.zeros(50, np.int64)

    def order(key: int) -> list[int]:
        return Shuffle().order(labels, np.random.Generator(np.random.Philox(key))).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_every_place_is_equally_likely_for_a_sample():
    generator = np.random.Generator(np.random.Philox(3))
    places = np.array([np.argmin(Shuffle().order(np.zeros(5), generator)) for _ in range(5000)])
    counts = np.bincount(places, minlength=5)
    assert ((counts - 1000) ** 2 / 1000).sum() < 18.5  # chi-square, 4 degrees of freedom, p = .001
