"""Backbones: a module from inputs to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch.nn import Module

    from harness.contract.dataset import DataInfo


class Backbone:
    """Base of every backbone plugin.

    Class variables:
        takes: The modality that the module's `forward` is given as a tensor, or "batch" for the whole Batch.
    """

    takes: ClassVar[str] = "image"

    def build(self, info: DataInfo) -> Module:
        """Return a freshly initialised module that gives logits, float (B, `info.num_classes`).

        Torch's global generator is seeded from the key of the initialisation, so plain constructors
        are reproducible as they are.
        """
        raise NotImplementedError

    def blocks(self, model: Module) -> list[tuple[str, Module]]:
        """Return (name, module) from stem to head: the vocabulary for freezing and layer-wise rates."""
        return list(model.named_children())
