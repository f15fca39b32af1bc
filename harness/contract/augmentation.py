"""Augmentations: a function on the whole batch, on the device or in the loader, with a draw per sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from harness.contract.stage import Stage

if TYPE_CHECKING:
    from harness.contract.batch import Batch
    from harness.contract.context import Context


class Augmentation:
    """Base of every augmentation plugin.

    Class variables:
        stage: GEOMETRY, CONTENT or MIX.
        placement: "device": on the normalised float batch, on the device. "loader": ahead of that, on uint8
            (B, C, H, W) on a CPU, mostly in a worker process; for what works image by image. Not in stage MIX.
        identity: Parameters at which it does nothing, bit for bit; None where there are none.
        provides, conflicts, requires: Tags, compared by `harness check`.

    One that wraps another (a field `of: Augmentation`) stands where that one stands: the harness takes stage,
    placement and tags of the innermost.
    """

    stage: ClassVar[Stage] = Stage.CONTENT
    placement: ClassVar[Literal["device", "loader"]] = "device"
    identity: ClassVar[Mapping[str, object] | None] = None
    provides: ClassVar[frozenset[str]] = frozenset()
    conflicts: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[frozenset[str]] = frozenset()

    def at(self, strength: float) -> Self:
        """Return this augmentation at a part of its strength: what it does at 0 is nothing, at 1 what it is set to.

        As it stands, each parameter of `identity` goes linearly from its value there to its own; whole numbers are
        rounded. An augmentation whose strength lies elsewhere gives its own.

        Args:
            strength: Within [0, 1].

        Raises:
            ValueError: Where it has no `identity` to start from.
        """
        if self.identity is None:
            raise ValueError(
                f"{type(self).__name__} has no parameters at which it does nothing, so none between"
            )
        between: dict[str, object] = {}
        for name, start in self.identity.items():
            end = getattr(self, name)
            if not isinstance(start, int | float) or not isinstance(end, int | float):
                raise ValueError(f"{type(self).__name__}.{name} is no number that could grow: {end!r}")
            value = start + strength * (end - start)
            between[name] = round(value) if isinstance(end, int) else value
        return dataclasses.replace(self, **between)  # type: ignore[type-var]

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls, or None where there is nothing to do.

        Ask `ctx` for draws here, once; the function may use nothing else that is random, may not write
        into the batch that it is given, and has to keep shape, type and device.

        In the loader it may return another height and width, and only the images that it returns are taken.
        There `ctx` has no model and no training batches; torch's global generator stands at a state keyed by
        step and component, and is put back afterwards (`ctx.sample_seeds` gives a seed for each sample).
        """
        raise NotImplementedError
