"""Parameters: who updates which, and their digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from harness.errors import HarnessError
from harness.registry.digests import digest_bytes, digest_json

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def groups_by_selector(model: Module, optimizers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one parameter group for each entry of the recipe's optimizer list.

    Raises:
        HarnessError: Where a parameter belongs to nobody or to two, or an entry takes none.
    """
    selectors = [entry["parameters"] for entry in optimizers]
    taken: list[list[Tensor]] = [[] for _ in selectors]
    for name, parameter in model.named_parameters():
        takers = [
            i
            for i, selector in enumerate(selectors)
            if selector != "rest" and selects(selector, name, parameter)
        ]
        takers = takers or [i for i, selector in enumerate(selectors) if selector == "rest"]
        if len(takers) != 1:
            who = "two entries take" if takers else "no entry takes"
            raise HarnessError(
                f"optimizer: {who} the parameter {name} {tuple(parameter.shape)}; selectors: {', '.join(selectors)}"
            )
        taken[takers[0]].append(parameter)
    for selector, parameters in zip(selectors, taken, strict=True):
        if not parameters:
            raise HarnessError(f'optimizer: the selector "{selector}" takes no parameter of this backbone')
    return [{"params": parameters} for parameters in taken]


def selects(selector: str, name: str, parameter: Tensor) -> bool:
    """Whether a selector takes a parameter; anything that is no word of the vocabulary is a glob over names."""
    match selector:
        case "all":
            return True
        case "matrices":
            return parameter.ndim == 2
        case "filters":
            return parameter.ndim >= 3
        case "vectors":
            return parameter.ndim <= 1
        case _:
            return fnmatchcase(name, selector)


def tensor_digest(tensor: Tensor) -> str:
    """Return the digest of a tensor's bytes, row major."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return digest_bytes(flat.numpy().tobytes())


def parameter_digests(model: Module) -> dict[str, str]:
    """Return a digest for each parameter, by name."""
    return {name: tensor_digest(parameter) for name, parameter in model.named_parameters()}


def weights_digest(model: Module) -> str:
    """Return one digest of all parameters and buffers, whatever they are called."""
    return digest_json([tensor_digest(tensor) for tensor in model.state_dict().values()])


def tracking_norms(model: Module) -> list[_BatchNorm]:
    """Return the batch-norm layers that keep running statistics."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
