"""Beta variates from keyed draws, for `mixup` and `cutmix`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TABLE_INTERVALS = 8192


def beta_quantile(alpha: float, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the quantile function of Beta(alpha, alpha): uniform numbers (B,) in [0, 1) to float32 (B,).

    A table, linear between its nodes, because no sampler of Beta variates takes its chance from keyed draws.
    """
    import numpy as np
    import torch
    from scipy.special import betaincinv

    nodes = betaincinv(alpha, alpha, np.linspace(0.0, 1.0, TABLE_INTERVALS + 1))
    table = torch.from_numpy(nodes.astype(np.float32)).to(device)

    def quantile(uniform: Tensor) -> Tensor:
        place = uniform * TABLE_INTERVALS
        below = place.long()
        return torch.lerp(table[below], table[below + 1], place - below)

    return quantile
