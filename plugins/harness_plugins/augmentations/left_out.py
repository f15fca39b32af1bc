"""Some samples of a batch augmented, the others as they were, for `progressive` and `class-aware`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contract import Augmentation, Batch

if TYPE_CHECKING:
    from torch import Tensor


def left_out(acts: Tensor, before: Batch, after: Batch, num_classes: int) -> Batch:
    """Return `after` where `acts`, and `before` elsewhere, with inputs and target exact in both.

    Args:
        acts: bool (B,), which samples are augmented.
        before: The batch as it was.
        after: The batch as an augmentation made it, of all samples.
        num_classes: Classes, for targets that mixing made dense.

    Raises:
        ValueError: Where the augmentation changes the size of images: there is no batch of both sizes.
    """
    import torch

    inputs = dict(before.inputs)
    for name, made in after.inputs.items():
        was = before.inputs[name]
        if made is was:
            continue
        if made.shape != was.shape:
            raise ValueError(
                f"of: it makes {name} {tuple(made.shape[1:])} of {tuple(was.shape[1:])}, so that no sample can be "
                "left out; let it keep the size"
            )
        inputs[name] = torch.where(acts.view(-1, *[1] * (made.ndim - 1)), made, was)
    target = before.target
    if after.target is not target:
        dense = before.dense_target(num_classes)
        target = torch.where(acts[:, None], after.target, dense)
    return Batch(inputs, target, before.ids)


def wrappers_within(augmentation: Augmentation) -> int:
    """Return how many augmentations wrap another from this one inwards: draws of each need a name of their own."""
    inner = getattr(augmentation, "of", None)
    return 1 + wrappers_within(inner) if isinstance(inner, Augmentation) else 0
