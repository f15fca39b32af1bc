"""Who is to blame for an error: the innermost frame that a plugin owns."""

from __future__ import annotations

import errno
import functools
import inspect
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch

from harness.engine.compiled import CULPRIT
from harness.engine.contract_check import ContractError

if TYPE_CHECKING:
    from harness.registry.registry import Registry

MEMORY_WORDS = ("out of memory", "DefaultCPUAllocator", "_STATUS_ALLOC_FAILED")
"""What torch's allocators, the CUDA runtime, cuBLAS and cuDNN say in a plain RuntimeError."""


def labels_for(kind: str, components: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name components by kind and name; the second of one name is `#2`, wherever it stands."""
    seen: dict[str, int] = {}
    labels = []
    for component in components:
        count = seen[component["name"]] = seen.get(component["name"], 0) + 1
        labels.append(f"{kind} {component['name']}" + (f"#{count}" if count > 1 else ""))
    return labels


@dataclass(slots=True)
class Owners:
    """Which plugin a piece of code belongs to.

    Attributes:
        files: By source file, the labels of the components in it by their classes' names.
        code: Code object of a slot's function to (label, slot); (None, None) is the harness's own, so that
            an update that wraps the whole step is not blamed for what happens within.
    """

    files: dict[str, dict[str, str]] = field(default_factory=dict)
    code: dict[CodeType, tuple[str | None, str | None]] = field(default_factory=dict)

    def learn(self, registry: Registry, recipe: Mapping[str, Any]) -> None:
        """Remember the source files of the components that a recipe names."""
        for key, value in recipe.items():
            kind = key.removesuffix("s")
            for normal in value if isinstance(value, list) else [value]:
                if not (isinstance(normal, dict) and "params" in normal):
                    continue
                for one in registry.layers(kind, normal):
                    component = registry.load(registry.find(kind, one["name"]))
                    classes = self.files.setdefault(inspect.getfile(component), {})
                    classes.setdefault(component.__qualname__, f"{kind} {one['name']}")

    def own(self, label: str | None, slot: str | None, function: Any) -> None:
        """Remember whose function this is."""
        while isinstance(function, functools.partial):
            function = function.func
        if isinstance(function, torch.nn.Module):
            function = type(function).forward
        elif not hasattr(function, "__code__"):
            function = inspect.getattr_static(type(function), "__call__", None)
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            self.code[code] = (label, slot)

    def culprit(self, error: BaseException, step: int | None) -> dict[str, Any]:
        """Return who is to blame, as a record holds it."""
        plugin, slot = self._blamed(error)
        tail = traceback.format_exception(type(error), error, error.__traceback__)[-6:]
        text = str(error) or type(error).__name__
        return {
            "plugin": plugin,
            "slot": slot,
            "step": step,
            "error": f"{type(error).__name__}: {text}"[:2000],
            "traceback": "".join(tail)[-4000:],
        }

    def _blamed(self, error: BaseException) -> tuple[str | None, str | None]:
        # a second to import, and errors are rare
        from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

        if isinstance(error, ContractError):
            return error.plugin, error.slot
        if isinstance(error, TorchDynamoException | FailOnRecompileLimitHit):
            return CULPRIT
        blamed: tuple[str | None, str | None] = (None, None)
        file = None
        for frame, _ in traceback.walk_tb(error.__traceback__):
            code = frame.f_code
            if code in self.code:
                blamed = self.code[code]
                file = code.co_filename if blamed[0] else None
            elif code.co_filename != file and code.co_filename in self.files:
                # What a slot's function calls in its own file stays that slot's.
                blamed, file = self._component(code), code.co_filename
        return blamed

    def _component(self, code: CodeType) -> tuple[str, str | None]:
        classes = self.files[code.co_filename]
        name, _, rest = code.co_qualname.partition(".")
        if name in classes:
            return classes[name], rest.partition(".")[0] or None
        return " or ".join(sorted(set(classes.values()))), None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the host's or the device's memory ran out."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in MEMORY_WORDS)
    )
