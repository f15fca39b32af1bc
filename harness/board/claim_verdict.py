"""The verdict on a claim and its reason, from the verdict on the two arms that it names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.board.digits import p_beside, ratio_within
from harness.board.speed_verdict import SIZE, SPEED
from harness.board.statistics import Estimate
from harness.board.verdict import Comparison, Rules, still_contains
from harness.board.wording import counted, signed

Json = dict[str, Any]


def judge_claim(claim: Json, comparison: Comparison, rules: Rules) -> tuple[str | None, str]:
    """Return the verdict on a claim and its reason; None where the two arms have none.

    Args:
        claim: As the plan holds it.
        comparison: Of its two arms, within the family of claims.
        rules: Of that family.
    """
    verdict, reason = _judge(claim, comparison, rules)
    if verdict is None or comparison.difference is None:
        return verdict, reason
    if comparison.verdict in ("better", "worse"):
        # Of a few rounds or pairs that differ wildly, the signs may be clear and the size not at all.
        return verdict, reason + still_contains(
            comparison.difference, "1" if claim["unit"] == "ratio" else "0"
        )
    return verdict, reason + (_short_of(claim, comparison.difference) if verdict == "not resolved" else "")


def _judge(claim: Json, comparison: Comparison, rules: Rules) -> tuple[str | None, str]:
    estimate, p = comparison.difference, comparison.p_holm
    if comparison.verdict is None or estimate is None or p is None:
        return None, comparison.reason
    ratio = claim["unit"] == "ratio"
    off = (SIZE if claim["metric"] == "peak_memory" else SPEED).margin
    effect = math.log(claim["claimed"]) if ratio else claim["claimed"]
    found = f"{_written(estimate.mean, ratio)} over {estimate.count} {'rounds' if ratio else 'pairs'}"
    if comparison.verdict in ("better", "worse"):
        found += f", Holm p = {p_beside(p, rules.alpha)} ≤ {rules.alpha:g}"
        if (estimate.mean > 0) != (effect > 0):
            return "contradicted", f"{found}: the other way"
        if still_contains(estimate, ""):
            return "not resolved", f"{found}: the sign is the claimed one, of its size nothing is known"
        ends = [end for end in (estimate.low, estimate.high) if end is not None]
        nearest_end = max(ends) if effect > 0 else min(ends)
        limit = _written(nearest_end, ratio)
        if (nearest_end >= effect) if effect > 0 else (nearest_end <= effect):
            return "reproduced", f"{found}; the interval reaches {limit}"
        return "weaker", f"{found}; the interval ends at {limit}, short of the claim"
    if comparison.verdict == "equal":
        margin = math.log1p(off) if ratio else rules.equal_margin
        within = f"equal within {off:.0%}" if ratio else f"equal within ±{margin:.2g} points"
        if abs(effect) > margin:
            return "contradicted", f"{found}: {within}"
        return "not resolved", f"{found}: {within}, and the claim is no more than that"
    if ratio:
        why = f"Holm p = {p_beside(p, rules.alpha)}"
        if p > rules.alpha:
            return "not resolved", f"{found}: {why} > {rules.alpha:g}"
        size = ratio_within(math.exp(estimate.mean), off)
        return "not resolved", f"× {size} over {estimate.count} rounds: {why}, yet nearer to 1 than {off:.0%}"
    return "not resolved", comparison.reason


def _short_of(claim: Json, difference: Estimate) -> str:
    """Return the end of a reason where the interval of a claim that is not resolved excludes what is claimed."""
    ratio = claim["unit"] == "ratio"
    effect = math.log(claim["claimed"]) if ratio else claim["claimed"]
    end = difference.high if effect > 0 else difference.low
    if end is None or (end >= effect if effect > 0 else end <= effect):
        return ""
    return f"; the interval ends at {_written(end, ratio)}, short of the claimed {_written(effect, ratio)}"


def _written(value: float, ratio: bool) -> str:
    return f"× {math.exp(min(value, 700.0)):.3g}" if ratio else f"{signed(value)} points"


def beside_table(claim: Json, comparison: Comparison, row: Mapping[str, Any], family: int) -> str:
    """Return the end of a reason where the same two arms have another verdict in the table; else nothing.

    Args:
        claim: As the plan holds it.
        comparison: Of its two arms, within the family of claims.
        row: The table's, of the claim's arm.
        family: How many arms the table's verdicts are adjusted over.
    """
    if row["against"] != claim["against"]:
        return ""
    own = comparison.verdict
    if claim["metric"] == "top1":
        theirs = row["verdict"]
    else:
        words, key = (
            (SPEED, "speed_verdict") if claim["metric"] == "images_per_second" else (SIZE, "memory_verdict")
        )
        own = {"better": words.more, "worse": words.less}.get(str(own), own)
        theirs = (row[key] or {}).get("verdict")
    if own == theirs:
        return ""
    return f"; the table's verdict, Holm over {counted(family, 'arm')}, is {theirs or 'none'}"
