"""Augmentations: a function on the whole batch, on the device, with a draw per sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from harness.contract.stage import Stage

if TYPE_CHECKING:
    from harness.contract.batch import Batch
    from harness.contract.context import Context


class Augmentation:
    """Base of every augmentation plugin.

    Class variables:
        stage: GEOMETRY, CONTENT or MIX.
        identity: Parameters at which it does nothing, bit for bit; None where there are none.
        provides, conflicts, requires: Tags, compared by `harness check`.
    """

    stage: ClassVar[Stage] = Stage.CONTENT
    identity: ClassVar[Mapping[str, object] | None] = None
    provides: ClassVar[frozenset[str]] = frozenset()
    conflicts: ClassVar[frozenset[str]] = frozenset()
    requires: ClassVar[frozenset[str]] = frozenset()

    def bind(self, ctx: Context) -> Callable[[Batch], Batch] | None:
        """Return the function that a step calls, or None where there is nothing to do.

        Ask `ctx` for draws here, once; the function may use nothing else that is random, may not write
        into the batch that it is given, and has to keep shape, type and device.
        """
        raise NotImplementedError
