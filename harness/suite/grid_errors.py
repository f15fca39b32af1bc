"""Why a key of `[grid]` means nothing for some arms, or for any: one line a key, with the nearest right spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import Problem, nearest
from harness.registry.messages import listed, quote
from harness.registry.registry import Registry
from harness.suite.grid_keys import Parts, component_names, why_not
from harness.suite.merge import Layer
from harness.suite.settings import KIND_OF, SHAPES

MOST_ARMS = 5
"""Arms that are named; more are counted."""


def meaningless(place: str, parts: Parts, layers: Mapping[str, Layer], registry: Registry) -> list[Problem]:
    """Return what is wrong with a key path, as one problem; none where it means something for every arm.

    Args:
        place: Where in the file it stands.
        parts: Its parts.
        layers: The arms of the file with what they inherit.
        registry: Knows the components and their parameters.
    """
    reasons = {name: why for name, layer in layers.items() if (why := why_not(layer, parts, registry))}
    if not reasons:
        return []
    key, component = str(parts[0]), parts[1] if len(parts) > 1 else None
    if key not in KIND_OF or SHAPES[key] == "component" or not isinstance(component, str):
        return [Problem(place, _by_reason(reasons, len(layers)))]
    names = {arm: component_names(layer, key) for arm, layer in layers.items()}
    # A single optimizer needs no name: the word is a parameter of it.
    lone = {arm for arm, own in names.items() if SHAPES[key] == "split" and len(own) == 1}
    lacking = [
        arm for arm, own in names.items() if component not in own and arm in reasons and arm not in lone
    ]
    others = {arm: why for arm, why in reasons.items() if arm not in lacking}
    kind = KIND_OF[key]
    known = list(dict.fromkeys(name for own in names.values() for name in own))
    if len(lacking) == len(layers):
        close = nearest(component, known)
        message = f"there is no {kind} {quote(component)} in {key} of any arm{close} (there: {listed(known)})"
    elif others:
        message = _by_reason(others, len(layers) - len(lacking))
        message += f"; and {_arms(lacking)} {_have(lacking)} no {kind} {quote(component)}" if lacking else ""
    else:
        message = (
            f"means nothing for {_arms(lacking)}: {'it has' if len(lacking) == 1 else 'they have'} no {kind} "
            f"{quote(component)}; a key of the grid is set in every arm, so give it to those as well, or give the "
            "arms that have it one arm for each value"
        )
    return [Problem(place, message)]


def _by_reason(reasons: Mapping[str, str], arms: int) -> str:
    """Return reasons in one line, each with its arms where it is not that of all."""
    by_reason: dict[str, list[str]] = {}
    for arm, why in reasons.items():
        by_reason.setdefault(why, []).append(arm)
    if len(by_reason) == 1 and len(reasons) == arms:
        return next(iter(by_reason))
    return "; ".join(f"means nothing for {_arms(names)}: {why}" for why, names in by_reason.items())


def _arms(names: Sequence[str]) -> str:
    """Return `arm "a"` or `arms "a", "b" and 3 more`."""
    shown = ", ".join(map(quote, names[:MOST_ARMS]))
    more = f" and {len(names) - MOST_ARMS} more" if len(names) > MOST_ARMS else ""
    return f"arm{'s' * (len(names) > 1)} {shown}{more}"


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
