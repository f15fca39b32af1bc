"""Any augmentation, with a probability for each class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self

from annotated_types import Interval

from harness.contract import Augmentation, Batch, Context
from harness_plugins.augmentations.left_out import left_out, wrappers_within

Probability = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class ClassAware(Augmentation):
    """Apply an augmentation to a sample with the probability of its class.

    For classes whose meaning it would change (a mirrored 2 is no 2, a mirrored 8 is an 8), or that need it less.
    With u a uniform draw for each sample and class y, `x' = of(x) where u < p_y, else x`, and targets likewise: a
    sample that is left out keeps its own image and its own target, exactly. Where targets are dense already, out of
    mixing ahead of it, p is their mean, `sum_k y_k p_k`. A sample that is left out by what mixes may still be another's
    partner. Image as `of` takes it: float (B, C, H, W), or uint8 where it runs in the loader; `of` works on all of the
    batch whatever the probabilities, and costs as much as without.

    The probabilities have no default: they say what is known of the classes. Hauberg et al. 2016, "Dreaming More
    Data: Class-dependent Distributions over Diffeomorphisms", and Balestriero et al. 2022, "The Effects of
    Regularization and Data Augmentation are Class Dependent", show what one setting for all does to single classes.

    Not as a remedy for rare classes (`balanced`, `class-weights`): a class then shows by how it was augmented.

    Attributes:
        of: The augmentation.
        probabilities: One for each class, in the order of their labels, `[0.5, 0.0, 1.0]`; or leave it out, and give
            `default` and `classes`.
        default: The probability of classes that `classes` leaves out.
        classes: Probabilities of some classes, by the number of the class from 0, `{ 1 = 0.0 }`.
    """

    of: Augmentation
    probabilities: tuple[Probability, ...] | None = None
    default: Probability | None = None
    classes: Mapping[str, Probability] = field(default_factory=dict)

    identity = {"probabilities": None, "default": 0.0, "classes": {}}

    def __post_init__(self) -> None:
        if self.probabilities is None and self.default is None:
            raise ValueError("probabilities: is missing: one for each class; or give default, and classes")
        if self.probabilities is not None and (self.default is not None or self.classes):
            raise ValueError("probabilities: has one for each class; leave default and classes out, or it")
        wrong = [key for key in self.classes if not (key.isascii() and key.isdecimal())]
        if wrong:
            raise ValueError(f'classes: a class is named by its number from 0, not "{wrong[0]}"')

    def by_class(self, num_classes: int) -> list[float]:
        """Return the probability of each class.

        Raises:
            ValueError: Where there are as many as other data has classes.
        """
        if self.probabilities is not None:
            if len(self.probabilities) != num_classes:
                raise ValueError(
                    f"probabilities: has {len(self.probabilities)} numbers, and the data {num_classes} classes; "
                    "give one for each, or default and classes"
                )
            return list(self.probabilities)
        known = {int(key): value for key, value in self.classes.items()}
        outside = [str(number) for number in known if number >= num_classes]
        if outside:
            raise ValueError(
                f"classes: there is no class {', '.join(outside)}: the data has {num_classes}, counted from 0"
            )
        return [known.get(number, self.default or 0.0) for number in range(num_classes)]

    def at(self, strength: float) -> Self:
        """Return it around `of` at a part of its strength."""
        return dataclasses.replace(self, of=self.of.at(strength))

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None where no class has a probability.

        Raises:
            ValueError: Where the probabilities do not fit the classes.
        """
        import torch

        by_class = self.by_class(ctx.num_classes)
        function = self.of.bind(ctx) if any(by_class) else None
        if function is None:
            return None
        table = torch.tensor(by_class, dtype=torch.float32, device=ctx.device)
        draws = ctx.draws(f"drawn for its class, {wrappers_within(self)}", 1)

        def apply(batch: Batch) -> Batch:
            target = batch.target
            probability = table[target] if target.ndim == 1 else target @ table
            return left_out(draws(batch.ids)[:, 0] < probability, batch, function(batch), ctx.num_classes)

        return apply
