"""Any augmentation, growing while the training goes on."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from annotated_types import Interval, Len

from harness.contract import Augmentation, Batch, Context
from harness_plugins.augmentations.left_out import left_out, wrappers_within

Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class Progressive(Augmentation):
    """Let the strength of an augmentation grow over the training, so that a strong one spoils no start.

    After Tan and Le 2021, "EfficientNetV2: Smaller Models and Faster Training", section 4.2 and algorithm 1, where in
    stage i of M the strength is `φ_i = φ_0 + (φ_e - φ_0) i / (M - 1)`. Here the strength is s = curve(u), linear
    between the points of the curve and constant outside of them, with `u = (p - start) / (end - start)` held within
    [0, 1] and p the share of the budget that is done. The default curve is the paper's, linear from nothing to all.
    What comes of it is as `of` makes it: image float (B, C, H, W), or uint8 where `of` runs in the loader.

    With `grows = "strength"`, `of` acts at `round(s * levels) / levels` of its own strength: its parameters go from
    where it does nothing (`identity`) to those that are given. The draws of a sample are the same at every level.
    With `"probability"`, a sample gets `of` as it is with probability s, and otherwise keeps its image and target.
    The paper has 4 stages; 10 levels are close to a line, and each costs no more than one more binding.

    Not for short budgets, in which the full strength hardly comes, nor around what is gentle from the start. A timing
    pass measures the first steps of the budget, at the strength of those.

    Attributes:
        of: The augmentation.
        grows: "strength", or "probability", which any augmentation can.
        curve: Points (u, s), u rising: `[[0, 0], [0.5, 1], [1, 0.2]]`.
        start: Share of the budget at which the curve begins.
        end: Share of the budget at which it ends.
        levels: Steps of the strength from nothing to all; of no meaning for the probability.
    """

    of: Augmentation
    grows: Literal["strength", "probability"] = "strength"
    curve: Annotated[tuple[tuple[Share, Share], ...], Len(1, 1000)] = ((0.0, 0.0), (1.0, 1.0))
    start: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    end: Annotated[float, Interval(gt=0, le=1)] = 1.0
    levels: Annotated[int, Interval(ge=1, le=1000)] = 10

    identity = {"curve": [[0.0, 0.0]]}

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"start: {self.start} must be before end, {self.end}")
        places = [place for place, _ in self.curve]
        if any(later <= earlier for earlier, later in itertools.pairwise(places)):
            raise ValueError(f"curve: the first numbers of its points must rise, not {places}")
        if self.grows == "strength":
            try:
                self.of.at(0.0)
            except ValueError as error:
                raise ValueError(
                    f'grows: "strength" needs an augmentation that can be weaker, and {error}; use "probability"'
                ) from error

    def strength_at(self, progress: float) -> float:
        """Return s for the share of the budget that is done."""
        place = min(max((progress - self.start) / (self.end - self.start), 0.0), 1.0)
        left = self.curve[0]
        for right in self.curve:
            if place < right[0]:
                if right is left:
                    break
                share = (place - left[0]) / (right[0] - left[0])
                return left[1] + share * (right[1] - left[1])
            left = right
        return left[1]

    def at(self, strength: float) -> Self:
        """Return this growth to a part of its height."""
        return dataclasses.replace(self, curve=tuple((place, strength * s) for place, s in self.curve))

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls; None where the curve stays at 0."""
        strengths = [strength for _, strength in self.curve]
        if not any(strengths):
            return None
        return self._grow_strength(ctx) if self.grows == "strength" else self._grow_probability(ctx)

    def _grow_strength(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        levels = {self._level(s) for _, s in self.curve}
        # Bound ahead, all of them: draws are asked for before the first step.
        functions = {
            level: self._at_level(level).bind(ctx) if level else None
            for level in range(min(levels), max(levels) + 1)
        }
        if not any(functions.values()):
            return None

        def grow(batch: Batch) -> Batch:
            function = functions[self._level(self.strength_at(ctx.progress))]
            return batch if function is None else function(batch)

        return grow

    def _level(self, strength: float) -> int:
        return math.floor(strength * self.levels + 0.5)

    def _at_level(self, level: int) -> Augmentation:
        return self.of if level == self.levels else self.of.at(level / self.levels)

    def _grow_probability(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        function = self.of.bind(ctx)
        if function is None:
            return None
        draws = ctx.draws(f"reached by what grows, {wrappers_within(self)}", 1)

        def grow(batch: Batch) -> Batch:
            probability = self.strength_at(ctx.progress)
            if probability <= 0:
                return batch
            made = function(batch)
            if probability >= 1:
                return made
            return left_out(draws(batch.ids)[:, 0] < probability, batch, made, ctx.num_classes)

        return grow
