"""Whether a target accuracy can be looked for in every arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import Problem
from harness.registry.messages import quote

KEY = "measure.target_top1"


def target_problems(target: object, recipes: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """Return what keeps the time to a target from being measured.

    It is measured on the validation split at each epoch's end, for the test split is read once, at the end.

    Args:
        target: `measure.target_top1`, in points; None where none is asked for.
        recipes: By arm, in normal form.
    """
    if target is None:
        return []
    without = [name for name, recipe in recipes.items() if recipe and not recipe["dataset"]["validation"]]
    if not without:
        return []
    arms = f"{'arm' if len(without) == 1 else 'arms'} {', '.join(map(quote, without[:5]))}"
    more = f" and {len(without) - 5} more" if len(without) > 5 else ""
    message = (
        f"is measured on the validation split, and {arms}{more} hold none out (dataset.validation = 0): the test "
        "split is read once, at the end. Give a validation share, or leave target_top1 out"
    )
    return [Problem(KEY, message)]
