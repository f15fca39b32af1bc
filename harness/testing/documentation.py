"""What a component's documentation has to hold, and what of it is missing."""

from __future__ import annotations

import dataclasses
import inspect
import re

REFERENCE = re.compile(r"\b(19|20)\d\d\b|arXiv|\b(torch|torchvision|timm|scikit-learn|TensorFlow)\b")
"""A paper by its year, or the library whose behaviour it has."""

LIMITS = re.compile(r"(?i)when not to use|(?:^|[.:] )not (for|where|on|with|beside|in|as)\b")
"""A sentence that says when not to use it."""


def documentation_gaps(component: type) -> list[str]:
    """Return what is missing in the docstring of a component's class.

    It has to name a paper or the library that it follows, say when not to use it, and describe each parameter in a
    section `Attributes:`.
    """
    text = inspect.cleandoc(component.__dict__.get("__doc__") or "")
    if not text or text.startswith(f"{component.__name__}("):  # what a dataclass writes by itself
        return ["a docstring"]
    gaps = []
    if not REFERENCE.search(text):
        gaps.append("a reference: a paper with its year, or the library that it follows")
    if not LIMITS.search(" ".join(text.split())):
        gaps.append('when not to use it: "When not to use it: …"')
    fields = [field.name for field in dataclasses.fields(component) if field.init]
    described = _described(text)
    gaps += [f"the parameter {name}, under `Attributes:`" for name in fields if name not in described]
    return gaps


def _described(text: str) -> set[str]:
    _, _, section = text.partition("\nAttributes:\n")
    lines = re.findall(r"^    (\w+(?:, \w+)*): \S", section, re.MULTILINE)
    return {name for line in lines for name in line.split(", ")}
