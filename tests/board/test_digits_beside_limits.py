"""Numbers in reasons lie on the side of their limit on which they are said to lie."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence

import pytest

from harness.board.claim_verdict import judge_claim
from harness.board.compare_verdict import Row, judge_all
from harness.board.compare_verdict import Rules as CompareRules
from harness.board.digits import p_beside, points_beside, ratio_within
from harness.board.speed_verdict import SPEED, _reason
from harness.board.statistics import Estimate
from harness.board.verdict import Comparison, Rules, compare


@pytest.mark.parametrize(
    ("p", "level", "written"),
    [
        (0.0503, 0.05, "0.0503"),
        (0.05005, 0.05, "0.05005"),
        (0.0499, 0.05, "0.05"),  # 0.05 ≤ 0.05 is true as it reads
        (0.0495, 0.0496, "0.0495"),
        (0.123, 0.05, "0.12"),
        (0.0001234, 0.05, "0.00012"),
        (0.05, 0.05, "0.05"),
        (0.0334, 1 / 30, "0.0334"),
    ],
)
def test_a_p_value_reads_as_it_compares(p: float, level: float, written: str) -> None:
    assert p_beside(p, level) == written


def test_any_p_value_and_any_margin_read_as_they_compare() -> None:
    draw = random.Random(4)
    for _ in range(2000):
        level = round(draw.uniform(0.001, 0.2), 4)
        p = level * draw.choice((1, 0.98, 0.9996, 1.0004, 1.02, 3))
        assert (float(p_beside(p, level)) > level) == (p > level)
        margin = draw.choice((0.1, 0.25, 0.186, 1.26, round(draw.uniform(0.01, 3), 4)))
        mean = margin * draw.choice((0.5, 0.97, 0.999, 1.0003, 1.03, 2)) * draw.choice((1, -1))
        told, limit = points_beside(mean, margin, is_less=abs(mean) < margin)
        assert (abs(float(told.replace("−", "-"))) < float(limit)) == (abs(mean) < margin)


@pytest.mark.parametrize(
    ("mean", "margin", "is_less", "written"),
    [
        (0.2496, 0.25, True, ("+0.2496", "0.25")),
        (-0.18558, 0.1856, True, ("−0.18558", "0.1856")),
        (0.12, 0.25, True, ("+0.12", "0.25")),
        (0.25 - 1e-12, 0.25, False, ("+0.25", "0.25")),  # a rounding error below it is on it
        (1.27, 1.26, False, ("+1.270", "1.26")),
    ],
)
def test_points_beside_their_margin(
    mean: float, margin: float, is_less: bool, written: tuple[str, str]
) -> None:
    assert points_beside(mean, margin, is_less=is_less) == written


def test_a_ratio_within_its_margin_reads_so() -> None:
    assert ratio_within(1.0099, 0.01) == "1.0099"
    assert ratio_within(0.99012, 0.01) == "0.9901"
    assert ratio_within(1.004, 0.01) == "1.004"


def near(value: float) -> list[float]:
    """Return pairs that lie close to a value: significant, in whatever direction."""
    return [value + step for step in (0.001, -0.001, 0.002, -0.002, 0.0, 0.0005, -0.0005, 0.0)]


@pytest.mark.parametrize("margin", [0.25, 0.186])
def test_the_reasons_of_boards_and_comparisons_part_difference_and_margin(margin: float) -> None:
    values = near(0.998 * margin)
    told = [compare({"a": values}, {}, Rules(0.05, 1, margin, margin / 10, 6, 0))["a"].reason]
    row = Row(
        "a", [], (dict.fromkeys(range(8), 90.0), dict(enumerate(90 + v for v in values))), [*range(8)], "", ""
    )
    told.append(judge_all([row], CompareRules(0.05, margin, margin / 10, 1, 0))[0].told["reason"])
    for reason in told:
        found = re.search(r"\+([\d.]+) points .*less than the margin of ([\d.]+)$", reason)
        assert found and float(found[1]) < float(found[2])


def comparison(p_holm: float, ratio: float) -> Comparison:
    log = math.log(ratio)
    return Comparison(
        Estimate(log, log - 0.1, log + 0.1, 0.1, 8), 8, p_holm, p_holm, None, None, "not resolved", "r"
    )


RULES = Rules(0.05, 1, math.log1p(0.01), math.log1p(0.01), 6, 0)


@pytest.mark.parametrize(
    ("p_holm", "wanted"), [(0.0503, "Holm p = 0.0503 > 0.05"), (0.2, "Holm p = 0.2 > 0.05")]
)
def test_speeds_and_claims_part_p_and_level(p_holm: float, wanted: str) -> None:
    assert wanted in _reason(comparison(p_holm, 1.5), SPEED, RULES)
    claim = {"metric": "images_per_second", "unit": "ratio", "claimed": 2.0}
    assert wanted in judge_claim(claim, comparison(p_holm, 1.5), RULES)[1]


@pytest.mark.parametrize("ratio", [1.0099, 0.9904])
def test_speeds_and_claims_part_a_ratio_and_its_margin(ratio: float) -> None:
    claim = {"metric": "images_per_second", "unit": "ratio", "claimed": 2.0}
    reasons: Sequence[str] = (
        _reason(comparison(0.01, ratio), SPEED, RULES),
        judge_claim(claim, comparison(0.01, ratio), RULES)[1],
    )
    for reason in reasons:
        assert f"× {ratio}" in reason and "nearer to 1 than 1%" in reason
