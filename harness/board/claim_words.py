"""The table of claims in words: the same in every format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.board import wording

HEADINGS = ("claim", "arm", "metric", "claimed", "measured", "verdict")
_LEAST, _MOST = 0.01, 1e6
"""Between these a ratio is written out."""
_METRICS = {"top1": "top-1", "images_per_second": "images/s", "peak_memory": "memory"}


def claim_cells(claim: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one claim as the cells under `HEADINGS`: plain text, to be escaped by whoever shows it."""
    arms = f"{claim['arm']} against {claim['against']}{at_cell(claim)}" if claim["arm"] else wording.ABSENT
    return (
        str(claim["name"]),
        arms,
        _METRICS.get(claim["metric"], str(claim["metric"])),
        _effect(claim, claim["claimed"]),
        _measured(claim),
        claim["verdict"] or "no verdict",
    )


def at_cell(claim: Mapping[str, Any]) -> str:
    """Return ` at optimizer.lr = 0.05`: of a grid, the one cell in which the claim was tested; else nothing."""
    cell = wording.cell(claim)
    return f" at {cell}" if cell else ""


def claim_remark(claim: Mapping[str, Any]) -> str:
    """Return why the verdict is what it is, and where the claim comes from."""
    reason = str(claim["reason"]).removeprefix("no verdict: ")
    return f"{reason} (claimed by {claim['source']})"


def family_note(board: Mapping[str, Any]) -> str:
    """Return why a claim and the table may have two verdicts on the same arms, in one line."""
    settings = board["settings"]
    family = settings.get("claims_family") or len(board["claims"])
    return (
        f"The claims are a family of their own: Holm over {wording.counted(family, 'claim')}, in the table over "
        f"{wording.counted(settings['family'], 'arm')}. So the same two arms may have another verdict there."
    )


def _effect(claim: Mapping[str, Any], value: float | None) -> str:
    if claim["unit"] != "ratio":
        return wording.signed(value)
    if value is None or _LEAST <= value < _MOST:
        return wording.times(value)
    return f"{value:.2g}×"  # not 0.00×, and not three hundred digits


def _measured(claim: Mapping[str, Any]) -> str:
    measured = claim["measured"]
    if measured is None:
        return wording.ABSENT
    mean = _effect(claim, measured["mean"])
    if measured["low"] is None or measured["high"] is None:
        return mean
    return f"{mean} [{_effect(claim, measured['low'])}, {_effect(claim, measured['high'])}]"
