"""Numbers beside the limit that they are compared with: in so many digits that the sentence is true as it reads."""

from __future__ import annotations

from harness.board.wording import signed

_MOST = 12
"""Digits; what differs by rounding alone reads as equal."""


def p_beside(p: float, level: float) -> str:
    """Return a p-value in two digits, in more where it would lie on the other side of the level: `0.0503 > 0.05`."""
    digits = next((n for n in range(2, _MOST) if (float(f"{p:.{n}g}") > level) == (p > level)), _MOST)
    return f"{p:.{digits}g}"


def points_beside(mean: float, margin: float, *, is_less: bool) -> tuple[str, str]:
    """Return a difference and its margin in two digits, in more where they would read the other way round.

    Args:
        mean: The difference, in points.
        margin: The smallest one that matters, in points.
        is_less: Whether the difference is said to be less than that.
    """
    digits = next(
        (n for n in range(2, _MOST) if (round(abs(mean), n) < float(f"{margin:.{n}g}")) == is_less), 2
    )
    return signed(mean, digits), f"{margin:.{digits}g}"


def ratio_within(ratio: float, margin: float, places: int = 3) -> str:
    """Return a ratio that is nearer to 1 than a margin in so many places, in more where it would not read so."""
    digits = next((n for n in range(places, _MOST) if abs(float(f"{ratio:.{n}f}") - 1) < margin), places)
    return f"{ratio:.{digits}f}"
