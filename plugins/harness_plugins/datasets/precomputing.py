"""Versions of images: an augmentation bound to what there is ahead of a training, and applied image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.contract import Augmentation, Batch, DamagedImage, Images
from harness_plugins.datasets.keyed import philox_key

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor
    from torch.nn import Module

IMAGES_MEASURED = 1000
"""Images that mean and standard deviation are taken from: they are wanted before anything is decoded, and by every
process that reads."""

LEAST_STD = 1e-3 / 255
"""A channel that never changes is centred and left alone."""

PER_COPY, PER_IMAGE, PER_STEP, GLOBAL = range(4)
"""What a number is drawn for; the last word of Philox's counter, which keeps them apart."""


def innermost(augmentation: Augmentation) -> Augmentation:
    """Return what an augmentation wraps (`of: Augmentation`), or itself: stage and placement are that one's."""
    inner = getattr(augmentation, "of", None)
    return innermost(inner) if isinstance(inner, Augmentation) else augmentation


class VersionsContext:
    """`harness.contract.Context` ahead of a training: every image of every copy is a batch of its own.

    Args:
        class_counts: Images of each class.
        copies: Versions of each image, beside itself.
        seed: Key of all draws.
    """

    def __init__(self, class_counts: tuple[int, ...], copies: int, seed: int) -> None:
        self.num_classes = len(class_counts)
        self.class_counts = class_counts
        self.total_steps, self.steps_per_epoch = copies, 1
        self.parents: Mapping[str, Callable[[Batch], Tensor]] = {}
        self._seed = seed
        self._copy, self._row = 1, 0

    def measure(self, mean: Tensor, std: Tensor) -> None:
        """Take what can be known only once images are read: their statistics, float32 (C,), in shares of full scale."""
        import torch

        self.device = torch.device("cpu")
        self.model: Module = torch.nn.Module()
        self.image_mean, self.image_std = mean, std

    def stand_at(self, copy: int, row: int) -> None:
        """Stand at version `copy`, from 1, of image `row`."""
        self._copy, self._row = copy, row

    @property
    def blocks(self) -> list[tuple[str, Module]]:
        """Refused: there is no model yet."""
        raise ValueError("the model's blocks asked for: there is no model where versions are made ahead")

    @property
    def step(self) -> int:
        """The number of the copy, from 0."""
        return self._copy - 1

    @property
    def epoch(self) -> int:
        """The number of the copy, from 0."""
        return self._copy - 1

    @property
    def progress(self) -> float:
        """Share of the copies that come before this one."""
        return self.step / self.total_steps

    def forward(self, batch: Batch) -> Tensor:
        """Refused: there is no model yet."""
        del batch
        raise ValueError("the model's logits asked for: there is no model where versions are made ahead")

    def draws(
        self, name: str, n: int, per: Literal["epoch", "trial"] = "epoch"
    ) -> Callable[[Tensor], Tensor]:
        """Return a function from rows to uniform numbers, float32 (B, n)."""

        def drawn(ids: Tensor) -> Tensor:
            import numpy as np
            import torch

            at = [self._raw(name, PER_IMAGE if per == "trial" else PER_COPY, row, n) for row in ids.tolist()]
            return torch.from_numpy(uniform(np.stack(at)))

        return drawn

    def step_draws(self, name: str, n: int) -> Callable[[], Tensor]:
        """Return a function that gives uniform numbers, float32 (n,), of this version of this image."""
        import torch

        return lambda: torch.from_numpy(uniform(self._raw(name, PER_STEP, self._row, n)))

    def sample_seeds(self, name: str) -> Callable[[Tensor], list[int]]:
        """Return a function from rows to seeds of 63 bits."""
        return lambda ids: [int(self._raw(name, PER_COPY, row, 1)[0] >> 1) for row in ids.tolist()]

    def training_batches(self, count: int) -> Iterator[Batch]:
        """Refused: there is no training yet."""
        raise ValueError(f"{count} training batches asked for: there are none where versions are made ahead")

    def generator(self, name: str) -> torch.Generator:
        """Return a CPU generator for a name."""
        import torch

        return torch.Generator().manual_seed(philox_key("versions", self._seed, "generator", name) % 2**32)

    def global_seed(self) -> int:
        """Return what torch's global generator is seeded with for this version of this image, 32 bits."""
        return int(self._raw("", GLOBAL, self._row, 1)[0] >> 32)

    def _raw(self, name: str, purpose: int, row: int, count: int) -> np.ndarray:
        """Return whole numbers of 64 random bits, uint64 (`count`,), by Philox's random access: no stream is run."""
        import numpy as np

        copy = 0 if purpose == PER_IMAGE else self._copy
        philox = np.random.Philox(
            key=philox_key("versions", self._seed, name), counter=[0, row, copy, purpose]
        )
        numbers: np.ndarray = philox.random_raw(count)
        return numbers


def uniform(raw: np.ndarray) -> np.ndarray:
    """Return whole numbers of 64 random bits as numbers in [0, 1), float32: their upper 24 bits, all that it holds."""
    import numpy as np

    return (raw >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


@dataclass(frozen=True, slots=True)
class Versions:
    """How versions are made.

    Attributes:
        augmentation: What is done to each.
        copies: Versions of each image, beside itself.
        ctx: What the augmentation is bound to.
    """

    augmentation: Augmentation
    copies: int
    ctx: VersionsContext


class VersionsOfImages(Images):
    """N images as they are, and then in N versions for each copy; a version is made when it is read.

    Args:
        of: The images, uint8 (N, C, H, W).
        labels: int64 (N,).
        versions: How they are made.
    """

    decode_once = True

    def __init__(self, of: np.ndarray | Images, labels: np.ndarray, versions: Versions) -> None:
        self.skip_damaged = isinstance(of, Images) and of.skip_damaged
        self._of, self._labels, self._versions = of, labels, versions
        self._make: Callable[[np.ndarray, int, int], np.ndarray] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N (copies + 1), C, H, W."""
        count, channels, height, width = self._of.shape
        return count * (self._versions.copies + 1), channels, height, width

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Decode some images and make their versions.

        Raises:
            DamagedImage: As the images' own.
            ValueError: Where the augmentation gives something else than an image of the same size.
        """
        import numpy as np

        copies, originals = np.divmod(rows, len(self._of))
        try:
            images = np.array(self._decoded(originals))
        except DamagedImage as error:
            place = originals.tolist().index(error.row)
            raise DamagedImage(int(rows[place]), str(error)) from error
        if not copies.any():
            return images
        import torch

        if self._make is None:
            self._make = self._bound()
        before = torch.default_generator.get_state()
        try:
            with torch.no_grad():
                for place in np.flatnonzero(copies).tolist():
                    images[place] = self._make(images[place], int(copies[place]), int(originals[place]))
        finally:
            torch.default_generator.set_state(before)
        return images

    def _decoded(self, rows: np.ndarray) -> np.ndarray:
        return self._of.read(rows) if isinstance(self._of, Images) else self._of[rows]

    def _bound(self) -> Callable[[np.ndarray, int, int], np.ndarray]:
        """Return the function from an image, a copy's number from 1 and a row to that version of it."""
        import torch

        augmentation, ctx = self._versions.augmentation, self._versions.ctx
        ctx.measure(*self._statistics())
        function = augmentation.bind(ctx)
        in_loader = innermost(augmentation).placement == "loader"
        mean, std = (values.mul(255).view(-1, 1, 1) for values in (ctx.image_mean, ctx.image_std))

        def make(image: np.ndarray, copy: int, row: int) -> np.ndarray:
            if function is None:
                return image
            ctx.stand_at(copy, row)
            # What draws from there without a seed of its own is a function of copy and row as well.
            torch.default_generator.manual_seed(ctx.global_seed())
            pixels = torch.from_numpy(image)[None]
            given = pixels.clone() if in_loader else (pixels - mean) / std
            target = torch.from_numpy(self._labels[row : row + 1])
            made = function(Batch({"image": given}, target, torch.tensor([row])))
            if made.image.shape != given.shape or made.image.dtype != given.dtype:
                raise ValueError(
                    f"precomputed-augmentation: {type(augmentation).__name__} gave {made.image.dtype} "
                    f"{tuple(made.image.shape)} for {given.dtype} {tuple(given.shape)}; versions keep the images' size"
                )
            if not torch.equal(made.target, target):
                raise ValueError(
                    f"precomputed-augmentation: {type(augmentation).__name__} changes the target; what is made ahead "
                    "is stored with its class"
                )
            back = made.image if in_loader else made.image.mul(std).add(mean).round().clamp(0, 255)
            version: np.ndarray = back[0].to(torch.uint8).numpy()
            return version

        return make

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each channel, float32 (C,), in shares of full scale."""
        import numpy as np
        import torch

        rows = np.unique(np.linspace(0, len(self._of) - 1, IMAGES_MEASURED).astype(np.int64))
        sums = np.zeros((2, self._of.shape[1]))
        pixels = len(rows) * self._of.shape[2] * self._of.shape[3]
        for some in np.array_split(rows, -(-len(rows) // 50)):
            shares = self._decoded(some) / 255
            sums += np.stack([shares.sum((0, 2, 3)), (shares**2).sum((0, 2, 3))])
        mean, square = sums / pixels
        std = np.sqrt(np.maximum(square - mean**2, 0))
        to_tensor = [torch.from_numpy(values.astype(np.float32)) for values in (mean, std)]
        return to_tensor[0], to_tensor[1].clamp_min(LEAST_STD)
