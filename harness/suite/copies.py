"""A/A: copies of the baseline that run as arms of their own, under streams of their own.

A copy differs from its original in nothing but the salt of its trials, which goes into their ids and into every
key: data order, initialisation, dropout, the draws of augmentations and tricks. So whatever a board says of a
copy, it would say of an arm that changes nothing (PROTOCOL.md, "A/A calibration").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from harness.errors import Problem
from harness.registry.messages import join, quote
from harness.suite.plan import Arm
from harness.suite.settings import identifier_problem

SUFFIX = "-aa"


def copy_names(baseline: str, count: int) -> tuple[str, ...]:
    """Return the names of a baseline's copies: `plain-aa`, or, where there are several, `plain-aa-1` and so on."""
    if count == 1:
        return (f"{baseline}{SUFFIX}",)
    return tuple(f"{baseline}{SUFFIX}-{number}" for number in range(1, count + 1))


def copy_problems(baseline: str, names: Collection[str], count: int) -> list[Problem]:
    """Return what keeps a baseline from being copied: an arm that has the copy's name, or a name that is too long.

    Args:
        baseline: The arm to copy.
        names: The other arms.
        count: How many copies.
    """
    problems = []
    for name in copy_names(baseline, count):
        if name in names:
            message = (
                f"is the name of the copy of {quote(baseline)} that calibration adds (aa = true): "
                "give this arm another name"
            )
            problems.append(Problem(join("arms", name), message))
        elif identifier_problem(name):
            message = f"has no room for a copy: its name would be {quote(name)}, and a name has 64 characters at most"
            problems.append(Problem(join("arms", baseline), message))
    return problems


def with_copies(arms: Sequence[Arm], baseline: str, count: int) -> tuple[Arm, ...]:
    """Return the arms, and behind each baseline its copies.

    Args:
        arms: Of a plan, resolved.
        baseline: The plan's baseline. In a grid every cell has one of its own, and each is copied.
        count: How many copies of each; 0 for none. The k-th has the salt `aa-k`.
    """
    found: list[Arm] = []
    for arm in arms:
        found.append(arm)
        if is_baseline(arm, baseline):
            found += [
                replace(arm, name=name, salt=f"aa-{number}", copy_of=arm.name)
                for number, name in enumerate(copy_names(arm.name, count), start=1)
            ]
    return tuple(found)


def is_baseline(arm: Arm, baseline: str) -> bool:
    """Return whether others are compared with an arm: the plan's baseline, or that of a grid's cell."""
    return arm.name == (arm.against or baseline)
