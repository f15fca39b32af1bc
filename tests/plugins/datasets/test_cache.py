"""Decoded images in memory: what is kept, what leaves first, and that the samples are the same."""

import multiprocessing
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.contract import DamagedImage, Dataset, Images, Prepared, Split
from harness_plugins.datasets.cache import Cache, CachedImages

PIXELS = np.random.default_rng(0).integers(0, 256, (200, 3, 2, 2), dtype=np.uint8)
EACH = 12


class Counted(Images):
    """It remembers what was decoded; row 13 may be torn."""

    skip_damaged = True

    def __init__(self, torn: bool = False) -> None:
        self.torn = torn
        self.decoded: list[int] = []

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (200, 3, 2, 2)

    def read(self, rows: np.ndarray) -> np.ndarray:
        if self.torn and 13 in rows:
            raise DamagedImage(13, "13.png: torn")
        self.decoded += rows.tolist()
        return PIXELS[rows]


def read(images: Images, *rows: int) -> np.ndarray:
    return images.read(np.array(rows))


def test_what_was_read_is_not_decoded_again():
    inner = Counted()
    images = CachedImages(inner, 100 * EACH)
    assert np.array_equal(read(images, 5, 3, 5), PIXELS[[5, 3, 5]])
    assert inner.decoded == [5, 3]
    assert (images.hits, images.misses, images.held_bytes) == (1, 2, 2 * EACH)
    assert np.array_equal(read(images, 3, 8, 5), PIXELS[[3, 8, 5]])
    assert inner.decoded == [5, 3, 8]
    assert (images.hits, images.misses) == (3, 3)


def test_the_least_recently_read_leave_first_by_hand():
    """Room for two: 1 2 | 1 again, so 2 is the oldest | 3 takes its place | 1 is still there, 2 is not."""
    inner = Counted()
    images = CachedImages(inner, 2 * EACH + EACH - 1)
    for row in (1, 2, 1, 3, 1, 2):
        assert np.array_equal(read(images, row), PIXELS[[row]])
    assert inner.decoded == [1, 2, 3, 2]
    assert images.held_bytes == 2 * EACH


def test_it_decodes_what_a_list_by_hand_decodes_and_never_holds_more_than_the_limit():
    inner, limit = Counted(), 20
    images = CachedImages(inner, limit * EACH)
    order = np.random.default_rng(1).integers(0, 60, 600)
    kept: OrderedDict[int, None] = OrderedDict()
    expected = []
    for row in order.tolist():
        read(images, row)
        expected += [] if row in kept else [row]
        kept[row] = None
        kept.move_to_end(row)
        while len(kept) > limit:
            kept.popitem(last=False)
        assert images.held_bytes <= limit * EACH
    assert inner.decoded == expected


def test_an_order_drawn_anew_finds_the_share_that_the_docstring_says():
    """f + (1 - f) ln(1 - f) = 0.153 at a half, 0.670 at nine tenths; over 30 epochs, within 3 points."""
    generator = np.random.default_rng(2)
    for share in (0.5, 0.9):
        images = CachedImages(Counted(), int(share * 200) * EACH)
        for _ in range(31):
            for rows in np.array_split(generator.permutation(200), 20):
                images.read(rows)
        found = images.hits / (30 * 200)
        assert abs(found - (share + (1 - share) * np.log(1 - share))) < 0.03


def test_a_batch_larger_than_the_limit_is_whole():
    images = CachedImages(Counted(), 3 * EACH)
    rows = np.arange(50)
    assert np.array_equal(images.read(rows), PIXELS[:50])
    assert images.held_bytes == 3 * EACH


def test_what_is_returned_may_be_written_to():
    images = CachedImages(Counted(), 100 * EACH)
    read(images, 4)[:] = 0
    read(images, 4)[:] = 0
    assert np.array_equal(read(images, 4), PIXELS[[4]])


def test_threads_get_the_right_images():
    images = CachedImages(Counted(), 30 * EACH)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for _ in range(200):
            rows = generator.integers(0, 200, 9)
            if not np.array_equal(images.read(rows), PIXELS[rows]):
                wrong.append(rows)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert images.hits + images.misses == 4 * 200 * 9
    assert images.held_bytes <= 30 * EACH


def _report(images: CachedImages, results: Any) -> None:
    read(images, 1, 2)
    results.put((images.hits, images.misses, images.held_bytes))


def test_a_forked_process_has_a_cache_of_its_own_though_the_lock_was_held():
    images = CachedImages(Counted(), 100 * EACH)
    read(images, 1, 2, 3)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_report, args=(images, results))
    with images._lock:
        child.start()
    try:
        assert results.get(timeout=30) == (0, 2, 2 * EACH)
    finally:
        child.kill()  # one that waits for a lock that nobody holds would wait for ever
        child.join()
    assert (images.hits, images.misses) == (0, 3)


def test_a_damaged_image_keeps_its_row():
    images = CachedImages(Counted(torn=True), 100 * EACH)
    read(images, 12)
    with pytest.raises(DamagedImage, match=r"13\.png") as caught:
        read(images, 12, 13)
    assert caught.value.row == 13
    assert images.skip_damaged


@dataclass(frozen=True)
class Toy(Dataset):
    encoded: bool = True

    licence = "made up"

    def prepare(self, root: Path | None) -> Prepared:
        train = Counted() if self.encoded else PIXELS
        labels = np.arange(200) % 2
        sources = np.arange(200)
        return Prepared(
            Split({"image": train}, labels, sources), Split({"image": Counted()}, labels), ("a", "b")
        )


def test_the_training_images_are_kept_and_everything_else_passes_through():
    dataset = Cache(of=Toy())
    prepared = dataset.prepare(None)
    assert isinstance(prepared.train.inputs["image"], CachedImages)
    assert isinstance(prepared.test.inputs["image"], Counted)
    assert np.array_equal(prepared.train.sources, np.arange(200))
    assert dataset.licence == "made up"
    assert Cache(of=Toy(encoded=False)).prepare(None).train.inputs["image"] is PIXELS


def test_a_limit_that_holds_no_image_is_refused_with_the_bytes():
    with pytest.raises(ValueError, match="limit_bytes = 11 holds no image of 12 bytes"):
        Cache(of=Toy(), limit_bytes=11).prepare(None)
