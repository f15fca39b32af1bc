"""Models compiled by torch.compile, with inductor's cache on disk shared by all processes.

The step's forward and backward pass run compiled. Evaluation runs the module as it is: what is judged may be
another module each time (an average of weights), the last batch of a split has a size of its own, and compiling
a second graph would take longer than it saves; so what a model scores never depends on the compiler either.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.contract_check import ContractError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"

RECOMPILE_LIMIT = 32
"""Versions of a module that are compiled, for other sizes of a batch or frozen parameters, before it is an error."""

CULPRIT = ("compile", "forward")
"""(label, slot) that a record blames for what the compiler cannot do."""


def compile_model(model: Module, mode: bool | str, device: torch.device) -> Callable[..., Tensor]:
    """Return the model's forward pass, compiled at its first call.

    Args:
        model: The module; it shares its weights with what is returned.
        mode: True for torch's default, or a mode of torch.compile.
        device: Where it runs.

    Raises:
        ContractError: Where the machine has no compiler.
    """
    _share_cache()
    _require_compiler(device)
    # Past its limit of compiled versions dynamo runs the module as it is, and only warns: a false timing.
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    # A graph for each size: code for any size computes other bits, and which one runs depends on what came before.
    executable: Callable[..., Tensor] = torch.compile(
        model, mode=mode if isinstance(mode, str) else None, dynamic=False
    )
    if not uses_graphs(mode, device):
        return executable

    def forward(*inputs: Any) -> Tensor:
        # The graph's next run writes over what this one gave; a trick may keep logits for longer.
        return executable(*inputs).clone()

    return forward


def uses_graphs(mode: bool | str, device: torch.device) -> bool:
    """Whether inductor records CUDA graphs: each step has then to be announced."""
    return device.type == "cuda" and isinstance(mode, str)


def _share_cache() -> None:
    """Let inductor keep its work in the harness's cache folder, unless TORCHINDUCTOR_CACHE_DIR names another."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    from harness.suite.prepare import default_cache

    # Importing torch._dynamo puts inductor's own default there: a temporary folder, which machines empty.
    if Path(os.environ.get(CACHE_VARIABLE) or default_cache_dir()) == Path(default_cache_dir()).absolute():
        os.environ[CACHE_VARIABLE] = str(default_cache() / "inductor")


def _require_compiler(device: torch.device) -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ContractError(
            *CULPRIT,
            "numerics.compile needs a C++ compiler, and none was found; install g++ or clang, name one in CXX, "
            "or set compile = false",
        ) from error
    if device.type == "cuda" and not has_triton():
        raise ContractError(
            *CULPRIT, "numerics.compile on CUDA needs Triton, and it cannot be imported; install triton"
        )
