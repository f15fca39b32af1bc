"""Class weights: what a sample of a rare class counts in the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from harness.contract import Context, Slots, Stage, Trick

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ClassWeights(Trick):
    """Cross-entropy in which each class has a weight, made from the counts of what is trained on.

    For n_c samples of class c of K, n in all:
    "balanced": `w_c = n / (K n_c)`, scikit-learn's `class_weight="balanced"` (King and Zeng 2001).
    "effective-number": `w_c ∝ (1 - beta) / (1 - beta^n_c)`, scaled so that the weights sum to K: Cui et al. 2019,
    "Class-Balanced Loss Based on Effective Number of Samples", equation 2 and section 4; beta from 0 (no weights)
    towards 1 (inverse frequency). The paper tries 0.9, 0.99, 0.999 and 0.9999; the default is one of them.

    loss = 1/B sum_i sum_k w_k y_ik (-log p_ik), with p the softmax of the logits (B, K) and y one-hot or dense
    (B, K). For dense targets that is torch's `cross_entropy(weight=w)`. For class indices torch divides by the sum of
    the batch's weights; here it is the number of samples B too, so that one-hot rows and indices agree, and so do the
    parts of a batch and the whole. Losses of arms with and without it do not compare.

    When not to use it: on balanced data, where it does nothing; for overall accuracy on a test split that is as
    imbalanced as the training split; beside the sampler `balanced`, which corrects a second time.

    Attributes:
        method: "balanced", "effective-number", or "given", by `weights`.
        beta: Of the effective number; at 0 every class weighs the same.
        weights: A weight for each class in the order of their labels, where they are given.
    """

    stage: ClassVar[Stage] = Stage.OBJECTIVE
    identity: ClassVar[Mapping[str, object] | None] = {
        "method": "effective-number",
        "beta": 0.0,
        "weights": None,
    }
    observable: ClassVar[str] = "mean distance of the classes' weights from 1"

    method: Literal["balanced", "effective-number", "given"] = "balanced"
    beta: Annotated[float, Ge(0), Lt(1)] = 0.999
    weights: tuple[Annotated[float, Gt(0)], ...] | None = None

    def __post_init__(self) -> None:
        if (self.method == "given") != (self.weights is not None):
            raise ValueError(
                'weights: go together with method = "given", and it with them; give both or neither'
            )

    def by_class(self, counts: Sequence[int]) -> list[float]:
        """Return the weight of each class.

        Args:
            counts: Samples of each class that are trained on.

        Raises:
            ValueError: Where the weights that are given are not as many as the classes, or a class has no sample.
        """
        if self.weights is not None:
            if len(self.weights) != len(counts):
                raise ValueError(
                    f"weights: has {len(self.weights)} numbers, and the data {len(counts)} classes; give one for each"
                )
            return list(self.weights)
        empty = [number for number, count in enumerate(counts) if not count]
        if empty:
            raise ValueError(
                f'method: "{self.method}" divides by the samples of a class, and class {empty[0]} has none in what '
                'is trained on; take method = "given"'
            )
        if self.method == "balanced":
            return [sum(counts) / (len(counts) * count) for count in counts]
        inverse = [(1 - self.beta) / (1 - self.beta**count) for count in counts]
        return [len(counts) * one / sum(inverse) for one in inverse]

    def bind(self, ctx: Context) -> Slots:
        """Return a `loss` slot; none where every class weighs 1.

        Raises:
            ValueError: Where the weights do not fit the classes.
        """
        import torch
        from torch.nn import functional as F

        by_class = self.by_class(ctx.class_counts)
        if all(weight == 1 for weight in by_class):
            return Slots(observe=lambda: 0.0)
        weights = torch.tensor(by_class, dtype=torch.float32, device=ctx.device)

        def loss(logits: Tensor, target: Tensor) -> Tensor:
            if target.ndim == 2:
                return F.cross_entropy(logits, target, weight=weights)
            return F.cross_entropy(logits, target, weight=weights, reduction="sum") / len(target)

        return Slots(loss=loss, observe=lambda: sum(abs(weight - 1) for weight in by_class) / len(by_class))
