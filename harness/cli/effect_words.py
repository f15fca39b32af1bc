"""What `harness show` says of the measured effects of a component, and of a name that only a library knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.wording import cell, interval, plain

_MOST_LINES = 12
"""Effects that are shown; a grid may have hundreds, and `--json` has them all."""


def effect_lines(effects: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Return what a component was last measured to do: a line each for the cells of a grid, and for unlike settings.

    Args:
        effects: As `newest_effects` gives them.
        name: What the page is about; another name, as of a family's models, is told.
    """
    if not effects:
        return ["Measured effect: none yet, on no board here (--results DIR) does an arm differ by it alone"]
    suite = plain(effects[0]["suite"])
    date = max((effect["date"] for effect in effects if effect["date"]), default="no date")
    lines = [
        f"Measured effect in points of test accuracy (suite {suite}, {date}):",
        *(f"  {_line(effect, name)}" for effect in effects[:_MOST_LINES]),
    ]
    if len(effects) > _MOST_LINES:
        lines.append(f"  and {len(effects) - _MOST_LINES} more: {effects[0]['board']}")
    return lines


def model_line(family: str, kind: str, model: str) -> str:
    """Return what `show` cannot tell of a model: the names are a library's, and asking it takes seconds."""
    wanted = f'{"an" if kind[0] in "aeiou" else "a"} {kind} "{plain(model)}"'
    return f"Whether {plain(family)} has {wanted} is looked up by harness check, not here."


def _line(effect: Mapping[str, Any], name: str) -> str:
    """Return `−1.74 [−3.33, −0.15], worse, on subset of cifar10: arm mixup against plain (alpha = 0.2)`."""
    own, params = effect["component"]["name"], effect["component"]["params"]
    words = "" if own == name else f" {plain(own)}"
    words += f" in place of {plain(effect['in_place_of'])}" if effect["in_place_of"] else ""
    where = f" on {plain(effect['dataset'])}" if effect["dataset"] else ""
    at = cell(effect)
    verdict = effect["verdict"] or effect["reason"]
    settings = ", ".join(f"{plain(key)} = {plain(value)}" for key, value in params.items())
    return (
        f"{interval(effect['difference'])}{words}, {plain(verdict)},{where}{f', {at}' if at else ''}: "
        f"arm {plain(effect['arm'])} against {plain(effect['baseline'])}"
        + (f" ({settings})" if settings else "")
    )
