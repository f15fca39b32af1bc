"""Keyed randomness: every random number is a function of names, never of what was drawn before.

`key(suite seed, replicate, salt, name, index)` seeds numpy's Philox, a counter-based generator (Salmon et al.
2011) whose stream is stable across numpy versions. So there is nothing to checkpoint, and a component that
draws moves nobody else's numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Keys:
    """The source of all randomness of one trial.

    Attributes:
        seed: The suite's seed.
        replicate: Number of the replicate, from 0.
        salt: Empty, or a word that gives a copy of an arm streams of its own.
    """

    seed: int
    replicate: int
    salt: str = ""

    def generator(self, name: str, index: int = 0) -> np.random.Generator:
        """Return numpy's generator for a name and an index (epoch or step)."""
        text = f"{self.seed}\x00{self.replicate}\x00{self.salt}\x00{name}\x00{index}"
        key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
        return np.random.Generator(np.random.Philox(key=key))

    def torch_seeds(self, name: str, index: int, count: int) -> list[int]:
        """Return seeds for torch's generators. 32 bits: its Mersenne Twister reads no more."""
        seeds: list[int] = (
            self.generator(name, index).integers(0, 2**32, size=count, dtype=np.uint64).tolist()
        )
        return seeds

    def torch_generator(self, name: str) -> torch.Generator:
        """Return a CPU generator of torch for a name."""
        return torch.Generator().manual_seed(self.torch_seeds(name, 0, 1)[0])


class Moment:
    """Where a trial stands: the step under way and its place in the epoch."""

    __slots__ = ("epoch", "index", "step")

    def __init__(self) -> None:
        self.step = 0
        self.epoch = 0
        self.index = 0


class Draws:
    """Tables of uniform numbers, made once an epoch, indexed by sample id or by step.

    Args:
        keys: The trial's source of randomness.
        samples: Number of samples in the training split.
        steps: Steps in an epoch.
        device: Where the tables live.
        moment: Where the trial stands.
    """

    def __init__(self, keys: Keys, samples: int, steps: int, device: torch.device, moment: Moment) -> None:
        self._keys = keys
        self._samples = samples
        self._steps = steps
        self._device = device
        self._moment = moment
        self._rows: dict[str, tuple[int, int]] = {}
        self._tables: dict[str, Tensor] = {}
        self._seeds: dict[str, np.ndarray] = {}

    def per_sample(
        self, stream: str, n: int, per: Literal["epoch", "trial"] = "epoch"
    ) -> Callable[[Tensor], Tensor]:
        """Return a function from ids (B,) to uniform float32 (B, n), anew each epoch or one for the trial."""
        name = f"sample/{stream}" if per == "epoch" else f"trial/{stream}"
        self._ask(name, self._samples, n)
        tables = self._tables
        return lambda ids: tables[name].index_select(0, ids)

    def per_step(self, stream: str, n: int) -> Callable[[], Tensor]:
        """Return a function that gives the current step's uniform float32 (n,)."""
        name = f"step/{stream}"
        self._ask(name, self._steps, n)
        tables, moment = self._tables, self._moment
        return lambda: tables[name][moment.index]

    def seeds(self, stream: str) -> Callable[[Tensor], list[int]]:
        """Return a function from ids (B,) to B seeds of 63 bits, anew each epoch."""
        name = f"seeds/{stream}"
        self._seeds.setdefault(name, np.empty(0, np.int64))
        tables = self._seeds

        def seeds_of(ids: Tensor) -> list[int]:
            found: list[int] = tables[name][ids.cpu().numpy()].tolist()
            return found

        return seeds_of

    def begin_epoch(self, epoch: int) -> None:
        """Make the tables of an epoch."""
        for name in self._seeds:
            generator = self._keys.generator(name, epoch)
            self._seeds[name] = generator.integers(0, 2**63, size=self._samples, dtype=np.int64)
        for name, shape in self._rows.items():
            of_trial = name.startswith("trial/")
            if of_trial and name in self._tables:
                continue
            numbers = self._keys.generator(name, 0 if of_trial else epoch).random(shape, dtype=np.float32)
            self._tables[name] = torch.from_numpy(numbers).to(self._device, non_blocking=True)

    def _ask(self, name: str, rows: int, n: int) -> None:
        if self._rows.setdefault(name, (rows, n)) != (rows, n):
            raise ValueError(f"two streams of draws are called {name!r} and differ in size")
