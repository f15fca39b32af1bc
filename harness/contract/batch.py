"""The batch: what flows through a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One rank's batch, or a micro-batch of it, on the device.

    Attributes:
        inputs: By modality: `image` float (B, C, H, W), already normalised; `text` int64 (B, L);
            `volume` float (B, C, D, H, W).
        target: int64 (B,) class indices until something asks for dense targets, float (B, K) from then on.
        ids: int64 (B,), the samples' numbers in the training split. What a draw is keyed by.
    """

    inputs: Mapping[str, Tensor]
    target: Tensor
    ids: Tensor

    @property
    def image(self) -> Tensor:
        """The image modality, float (B, C, H, W)."""
        return self.inputs["image"]

    def with_image(self, image: Tensor) -> Batch:
        """Return this batch with other images."""
        return Batch({**self.inputs, "image": image}, self.target, self.ids)

    def with_target(self, target: Tensor) -> Batch:
        """Return this batch with other targets."""
        return Batch(self.inputs, target, self.ids)

    def dense_target(self, num_classes: int) -> Tensor:
        """Return the targets as float32 rows (B, `num_classes`) that sum to one."""
        if self.target.ndim == 2:
            return self.target
        import torch

        dense = torch.zeros(self.target.shape[0], num_classes, device=self.target.device)
        return dense.scatter_(1, self.target[:, None], 1.0)

    def __len__(self) -> int:
        return int(self.target.shape[0])
