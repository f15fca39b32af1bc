"""A context with fixed tables of draws, so that a test knows every number that an augmentation got."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from harness.contract import Batch

NUM_CLASSES = 5


class FixedContext:
    """Gives the rows of `table` (samples, n) as draws, and counts what was asked for.

    Only what an augmentation may use is there: anything else is an AttributeError.
    """

    num_classes = NUM_CLASSES
    device = torch.device("cpu")
    # Levels of 0 .. 255 for normalised values of -2 .. 2, whatever the number of channels.
    image_mean, image_std = torch.tensor([0.5]), torch.tensor([0.25])

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.asked: list[tuple[str, int]] = []

    def draws(self, name: str, n: int) -> Callable[[Tensor], Tensor]:
        self.asked.append((name, n))
        assert n == self.table.shape[1], f"asked for {n} draws, the test has {self.table.shape[1]}"
        return lambda ids: self.table[ids]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Hundreds of small operations: threads that wait for one another took most of the time beside other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def context() -> Callable[[Tensor], FixedContext]:
    return FixedContext


@pytest.fixture
def batch() -> Batch:
    """16 different images, 3 x 8 x 10, and the ids 30, 29 .. 15: not their places in the batch."""
    generator = torch.Generator().manual_seed(5)
    image = torch.randn(16, 3, 8, 10, generator=generator)
    target = torch.randint(0, NUM_CLASSES, (16,), generator=generator)
    return Batch({"image": image}, target, torch.arange(30, 14, -1))


@pytest.fixture
def table() -> Callable[[int], Tensor]:
    """Make a table of n uniform numbers for each of 31 sample ids."""
    return lambda n: torch.rand(31, n, generator=torch.Generator().manual_seed(7 + n))
