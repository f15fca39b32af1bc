"""One component as it was offered, before anything of it is imported."""

import re
from dataclasses import dataclass

FIRST_PARTY = "harness-bench"
"""The distribution whose components have bare names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A component that a plugin offers, or a plugin that could not be loaded.

    Attributes:
        kind: A kind of `harness.contract.KINDS`; "plugin" for a broken plugin.
        name: As the plugin gave it. One that ends in ":" is a family.
        full_name: As a suite writes it: bare for first-party components and those of a suite's own
            plugin files, `<distribution>/<name>` for a third party's.
        source: Where it comes from: the distribution's name, or the path of the plugin file.
        distribution: The distribution's normalised name; None for a plugin file.
        version: The distribution's version; None for a plugin file.
        target: "package.module:Class", or the class itself.
        summary: One line.
        status: "ok" or "broken".
        preload: Libraries that the process server may import ahead of the first trial.
        error: The end of the traceback of a broken plugin.
    """

    kind: str
    name: str
    full_name: str
    source: str
    distribution: str | None
    version: str | None
    target: str | type
    summary: str
    preload: tuple[str, ...] = ()
    status: str = "ok"
    error: str = ""

    @property
    def is_family(self) -> bool:
        """Whether what follows the colon in a suite becomes the field `model`."""
        return self.name.endswith(":")


def normalised(distribution: str) -> str:
    """Return a distribution's name as PEP 503 compares them."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
