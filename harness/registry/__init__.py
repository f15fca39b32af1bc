"""Which components there are, what parameters they take, and how they are built. Imports no torch."""

from harness.registry.discovery import discover
from harness.registry.entry import FIRST_PARTY, Entry
from harness.registry.registry import Registry

__all__ = ["FIRST_PARTY", "Entry", "Registry", "discover"]
