"""What a child would import to read its job and find its components, paid for once by the process server.

No plugin is loaded: a server that has seen one would hand its state to every trial.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Annotated

import annotated_types
import numpy.ma  # noqa: F401 - numpy imports it late, at the first `unique`

import harness.registry.discovery
from harness.registry.parameters import typed_values


@dataclass(frozen=True)
class _Parameters:
    """Has what first-party parameters have, so that pydantic imports its parts."""

    number: Annotated[float, annotated_types.Ge(0)] = 0.0
    numbers: tuple[int, ...] = ()
    word: str | None = None


importlib.metadata.entry_points(group=harness.registry.discovery.GROUP)
typed_values(_Parameters, {"number": 0.5, "numbers": [1], "word": None})
