"""Verdicts on claims, against hand-worked cases: what was measured is planted, so the right word is known."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from scipy import stats

from harness.board import render
from harness.board.leaderboard import build

Json = dict[str, Any]

SPREAD = (-0.3, -0.2, -0.1, -0.05, 0.0, 0.0, 0.05, 0.1, 0.2, 0.3)  # sums to 0: a mean is what is planted


def claim(name: str, arm: str | None, claimed: float, against: str | None = "plain", **more: Any) -> Json:
    told = {"metric": "top1", "unit": "points", "testable": None, **more}
    return {"name": name, "source": "somebody", "arm": arm, "against": against, "claimed": claimed, **told}


@pytest.fixture
def board_of(inputs: Callable[..., Any]) -> Callable[..., list[Json]]:
    """Builds a board on which each arm lies off the baseline by exactly a planted mean, and returns its claims."""

    def build_one(
        effects: dict[str, float], claims: list[Json], replicates: int = 10, **plan: Any
    ) -> list[Json]:
        made = inputs({"plain": 0.0, **effects}, replicates)
        for record in made.records:
            arm, r = record["arm"], record["replicate"]
            off = 0.0 if arm == "plain" else effects[arm] + SPREAD[r % 10]
            record["results"]["test"]["top1"] = 90.0 + 0.4 * math.sin(r) + off
        made.plan |= {"claims": claims, "margin_points": 0.1, "equal_margin_points": 0.5, **plan}
        board = build(made.plan, made.records, made.timings, shared=made.shared)
        for write in (render.markdown, render.csv, render.json, render.html):
            assert write(board)
        found: list[Json] = board["claims"]
        return found

    return build_one


def test_the_four_verdicts_on_planted_effects(board_of: Callable[..., list[Json]]) -> None:
    effects = {"good": 2.0, "some": 1.0, "bad": -1.0, "same": 0.01, "faint": 0.12}
    told = board_of(
        effects,
        [
            claim("holds", "good", 2.1),
            claim("beyond", "good", 0.5),
            claim("less", "some", 3.0),
            claim("other way", "bad", 1.0),
            claim("nothing", "same", 2.0),
            claim("too faint", "faint", 0.2),
            claim("loses", "bad", -0.9),
            claim("loses less", "bad", -4.0),
        ],
        equal_margin_points=0.4,
    )
    assert [one["verdict"] for one in told] == [
        "reproduced",
        "reproduced",
        "weaker",
        "contradicted",
        "contradicted",
        "not resolved",
        "reproduced",
        "weaker",
    ]
    assert all(one["reason"] and "\n" not in one["reason"] for one in told)


def test_measured_is_the_paired_difference_with_the_interval_of_the_claims_family(
    board_of: Callable[..., list[Json]],
) -> None:
    """The oracle is scipy: a t interval at alpha over the three testable claims, not over the four arms."""
    effects = {"a": 1.0, "b": 0.5, "c": 0.0, "d": 0.0}
    claims = [claim("one", "a", 1.0), claim("two", "a", 0.5, against="b"), claim("three", "c", 1.0)]
    claims.append(claim("four", None, 2.0, None, testable="needs a GPU"))
    told = board_of(effects, claims)
    differences = [1.0 + x for x in SPREAD]
    low, high = stats.t.interval(1 - 0.05 / 3, 9, 1.0, stats.sem(differences))
    measured = told[0]["measured"]
    assert measured["mean"] == pytest.approx(1.0, abs=1e-9)
    assert (measured["low"], measured["high"]) == (
        pytest.approx(low, abs=1e-9),
        pytest.approx(high, abs=1e-9),
    )
    assert measured["count"] == 10
    # Arm a less arm b: their spreads are the same numbers, so all ten differences are a half and one is 2 / 2^10.
    assert told[1]["measured"]["mean"] == pytest.approx(0.5, abs=1e-9)
    assert told[1]["p"] == pytest.approx(2 / 1024, abs=1e-12)
    assert told[1]["p_holm"] == pytest.approx(3 * 2 / 1024, abs=1e-12)
    assert told[3] == {
        **{key: claims[3][key] for key in ("name", "source", "arm", "against", "metric", "unit", "claimed")},
        "measured": None,
        "p": None,
        "p_holm": None,
        "verdict": "not testable",
        "reason": "needs a GPU",
    }


def test_a_claim_within_the_margin_is_not_contradicted_by_equality(
    board_of: Callable[..., list[Json]],
) -> None:
    (told,) = board_of({"same": 0.0}, [claim("tiny", "same", 0.3)])
    assert told["verdict"] == "not resolved" and "no more than that" in told["reason"]


def test_too_few_replicates_give_no_verdict(board_of: Callable[..., list[Json]]) -> None:
    told = board_of({"good": 2.0}, [claim("a", "good", 2.0), claim("b", "good", 1.0)], replicates=6)
    assert [one["verdict"] for one in told] == [None, None]
    assert told[0]["reason"].startswith("no verdict: 6 paired replicates, and a family of 2 needs 7")
    assert told[0]["measured"]["mean"] > 1.0


@pytest.mark.parametrize(
    ("plan", "told"),
    [({"verdicts": False, "verdicts_reason": "exploratory"}, "no verdict: exploratory")],
)
def test_a_plan_without_verdicts_has_none_on_claims(
    board_of: Callable[..., list[Json]], plan: Json, told: str
) -> None:
    (one,) = board_of({"good": 2.0}, [claim("a", "good", 2.0)], **plan)
    assert (one["verdict"], one["reason"]) == (None, told)


def test_an_arm_that_failed_is_unstable_or_absent_is_refused(
    inputs: Callable[..., Any], failing: Callable[..., None]
) -> None:
    made = inputs({"plain": 0.0, "shaky": 1.0, "dead": 1.0, "fine": 1.0})
    for record in made.of("shaky")[:2]:
        failing(record, "diverged")
    for record in made.of("dead"):
        failing(record, "oom")
    made.plan["claims"] = [claim(arm, arm, 1.0) for arm in ("shaky", "dead", "gone", "fine")]
    told = build(made.plan, made.records, made.timings)["claims"]
    assert [one["verdict"] is None for one in told] == [True, True, True, False]
    assert 'arm "shaky" is unstable: 2 of 10 failed' in told[0]["reason"]
    assert 'arm "dead" has no result' in told[1]["reason"]
    assert 'arm "gone" is not in this plan' in told[2]["reason"]


def test_arms_that_saw_other_data_in_another_order_are_not_compared(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 1.0, "b": 1.0})
    for record in made.of("b"):
        record["digests"]["order"] = "another"
    made.plan["claims"] = [claim("one", "a", 1.0, "b"), claim("two", "b", 1.0, "a"), claim("three", "a", 1.0)]
    told = build(made.plan, made.records, made.timings)["claims"]
    assert [one["reason"] for one in told[:2]] == ["no verdict: not comparable: order"] * 2
    assert told[2]["verdict"] is not None


def test_a_trick_that_never_acted_contradicts_no_claim(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "idle": 0.0, "bits": 0.0, "works": 0.0})
    base = {record["replicate"]: record for record in made.of("plain")}
    made.plan["arms"][0]["recipe"] = {"batch_size": 32, "tricks": []}
    for record in made.of("idle"):
        record["observables"]["idle"]["value"] = 0.0
    for record in made.of("bits"):
        record["observables"], record["digests"] = {}, base[record["replicate"]]["digests"]
    for record in made.records:
        record["results"]["test"]["top1"] = base[record["replicate"]]["results"]["test"]["top1"]
    made.plan["claims"] = [
        claim("a", "idle", 1.0),
        claim("b", "plain", -1.0, "idle"),
        claim("c", "bits", 1.0),
        claim("d", "works", 1.0),
    ]
    told = build(made.plan, made.records, made.timings)["claims"]
    assert [one["verdict"] for one in told] == [None, None, None, "contradicted"]
    assert told[0]["reason"] == (
        'no verdict: arm "idle" is a no-op, idle never acted and nothing else differs'
    )
    assert told[1]["reason"] == told[0]["reason"]
    assert "bit for bit" in told[2]["reason"]


def timed(made: Any, arm: str, factor: float) -> None:
    base = {one["round"]: one["images_per_second"] for one in made.timings if one["arm"] == "plain"}
    for one in made.timings:
        if one["arm"] == arm:
            one["images_per_second"] = base[one["round"]] * factor * (1 + 0.002 * (one["round"] % 3 - 1))


def test_a_speed_claim_is_a_ratio_over_the_rounds_once_accuracy_is_not_lost(
    inputs: Callable[..., Any],
) -> None:
    made = inputs({"plain": 0.0, "quick": 0.0, "same": 0.0, "costly": -3.0}, rounds=9)
    for record in made.records:
        level = 90.0 + (-3.0 if record["arm"] == "costly" else 0.0)
        record["results"]["test"]["top1"] = level + 0.01 * record["replicate"]
    for arm, factor in (("quick", 1.5), ("same", 1.0), ("costly", 1.5)):
        timed(made, arm, factor)
    speed = {"metric": "images_per_second", "unit": "ratio"}
    made.plan["claims"] = [
        claim("holds", "quick", 1.5, **speed),
        claim("less", "quick", 2.3, **speed),
        claim("none", "same", 2.0, **speed),
        claim("slower", "quick", 0.5, **speed),
        claim("costly", "costly", 1.5, **speed),
        claim("memory", "quick", 0.6, metric="peak_memory", unit="ratio"),
    ]
    told = build(made.plan, made.records, made.timings)["claims"]
    words = ["reproduced", "weaker", "contradicted", "contradicted", None, "contradicted"]
    assert [one["verdict"] for one in told] == words
    assert told[0]["measured"]["mean"] == pytest.approx(1.5, rel=0.001)
    assert "accuracy is not shown to be within 0.2 points" in told[4]["reason"]


def test_what_the_timing_pass_does_not_hold_is_not_testable_and_too_few_rounds_are_refused(
    inputs: Callable[..., Any],
) -> None:
    made = inputs({"plain": 0.0, "a": 0.0}, rounds=3)
    made.plan["claims"] = [claim("a", "a", 2.0, metric="images_per_second", unit="ratio")]
    (told,) = build(made.plan, made.records, made.timings)["claims"]
    assert told["verdict"] is None and "3 timing rounds, and a family of 1 claims takes 7" in told["reason"]
    made.plan["timing"] = {"rounds": 0}
    (told,) = build(made.plan, made.records, [])["claims"]
    assert told["verdict"] == "not testable" and "no timing pass" in told["reason"]
    made.plan["timing"] = {"rounds": 3}
    made.plan["claims"][0]["metric"] = "peak_memory"
    for one in made.timings:
        one["peak_memory_bytes"] = None
    (told,) = build(made.plan, made.records, made.timings)["claims"]
    assert told["verdict"] == "not testable" and "no peak memory" in told["reason"]


def test_a_board_without_claims_has_no_such_key(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 1.0})
    board = build(made.plan, made.records, made.timings)
    assert "claims" not in board and "#### Claims" not in render.markdown(board)


def test_names_of_claims_are_text_in_every_format(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 1.0})
    evil = "</script><img src=x onerror=alert(1)> | [a](javascript:x) \x1b[31m"
    made.plan["claims"] = [
        {**claim(evil, "a", 1.0), "source": evil},
        claim("n", None, 1.0, None, testable=evil),
    ]
    board = build(made.plan, made.records, made.timings)
    page, text = render.html(board), render.markdown(board)
    assert "<img src=x" not in page and "<img" not in text and "\x1b" not in page + text
    assert "\\| \\[a\\](javascript:x)" in text


def test_claims_wait_for_planned_replicates_and_rounds(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 2.0, "b": 2.0}, rounds=8)
    speed = {"metric": "images_per_second", "unit": "ratio"}
    made.plan["claims"] = [claim("a", "a", 2.0), claim("b", "b", 2.0), claim("fast", "b", 0.9, **speed)]
    whole = build(made.plan, made.records, made.timings)["claims"]
    assert [one["verdict"] for one in whole[:2]] == ["reproduced"] * 2
    made.records.remove(made.of("a")[0])
    made.timings.remove(next(one for one in made.timings if (one["arm"], one["round"]) == ("b", 3)))
    told = build(made.plan, made.records, made.timings)["claims"]
    assert [one["verdict"] for one in told] == [None, "reproduced", None]
    assert told[0]["reason"].startswith("no verdict: interim, 9 of 10 replicates; ")
    assert told[2]["reason"].startswith("no verdict: interim, 7 of 8 timing rounds; ")
    assert told[0]["measured"]["low"] > 0 and told[0]["p"] is None


def test_a_claim_and_the_table_may_differ_and_say_so(board_of: Callable[..., list[Json]]) -> None:
    # Ten differences of one sign but one: 4 of 1024 sign vectors are as extreme. 0.05 / (4 / 1024) = 12.8 arms.
    effects = {"good": 0.29, **{f"arm{number}": 0.0 for number in range(12)}}
    (told,) = board_of(effects, [claim("a", "good", 0.3)], equal_margin_points=0.1)
    assert told["verdict"] == "reproduced" and told["p"] == pytest.approx(4 / 1024)
    assert told["reason"].endswith("; the table's verdict, Holm over 13 arms, is not resolved")
    (told,) = board_of({"good": 0.29}, [claim("a", "good", 0.3)])
    assert told["verdict"] == "reproduced" and "table" not in told["reason"]
    (told,) = board_of({**effects, "other": -1.0}, [claim("a", "good", 0.3, against="other")])
    assert "table" not in told["reason"]  # the table does not compare these two


def test_not_resolved_says_where_the_interval_rules_the_claim_out(
    board_of: Callable[..., list[Json]],
) -> None:
    told = board_of(
        {"faint": 0.05},
        [claim("gains", "faint", 2.0), claim("loses", "faint", -2.0), claim("within", "faint", 0.1)],
        equal_margin_points=0.01,
    )
    assert [one["verdict"] for one in told] == ["not resolved"] * 3
    ends = [f"{told[0]['measured'][end]:+.2f}".replace("-", "\N{MINUS SIGN}") for end in ("high", "low")]
    assert told[0]["reason"].endswith(
        f"; the interval ends at {ends[0]} points, short of the claimed +2.00 points"
    )
    assert told[1]["reason"].endswith(
        f"; the interval ends at {ends[1]} points, short of the claimed \N{MINUS SIGN}2.00 points"
    )
    assert "short of" not in told[2]["reason"]


def test_every_format_says_that_claims_are_a_family_of_their_own(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 2.0, "b": 0.0})
    made.plan["claims"] = [claim("a", "a", 2.0), claim("c", None, 2.0, None, testable="needs a GPU")]
    board = build(made.plan, made.records, made.timings)
    wanted = (
        "The claims are a family of their own: Holm over 1 claim, in the table over 2 arms. "
        "So the same two arms may have another verdict there."
    )
    console = Console(width=200, file=io.StringIO())
    console.print(render.terminal(board))
    texts = [console.file.getvalue(), render.markdown(board), render.html(board), render.latex(board)]
    assert [wanted in text for text in texts] == [True] * 4
    method = (
        "The test and the interval are two procedures, and at the edge one may say what the other does not."
    )
    assert [method in " ".join(text.split()) for text in texts] == [True] * 4
    assert board["settings"]["claims_family"] == 1


def test_a_claim_on_speed_may_lose_what_the_plan_says_and_tells_of_short_rounds(
    inputs: Callable[..., Any],
) -> None:
    made = inputs({"plain": 0.0, "a": -0.3}, rounds=8, noise=0.01)
    for timing in made.timings:
        timing["images_per_second"] = (1000.0 if timing["arm"] == "plain" else 1500.0) + timing["round"]
    made.plan["claims"] = [claim("fast", "a", 1.4, metric="images_per_second", unit="ratio")]
    (told,) = build(made.plan, made.records, made.timings)["claims"]
    assert told["verdict"] is None and "within 0.2 points" in told["reason"]
    made.plan["non_inferiority_points"] = 0.6
    made.plan["timing"]["seconds"] = 1.0
    (told,) = build(made.plan, made.records, made.timings)["claims"]
    assert told["verdict"] == "reproduced"
    assert "; 1 s of steady state a round, a claim takes 5 ([timing] seconds = 5)" in told["reason"]
    made.plan["timing"]["seconds"] = 5.0
    (told,) = build(made.plan, made.records, made.timings)["claims"]
    assert "steady state" not in told["reason"]


def test_another_order_may_be_declared_by_either_side_of_a_claim(inputs: Callable[..., Any]) -> None:
    made = inputs({"plain": 0.0, "a": 2.0, "b": 0.0})
    for record in made.of("b"):
        record["digests"]["order"] = f"other{record['replicate']}"
    made.plan["claims"] = [claim("a", "a", 2.0, "b"), claim("b", "b", -2.0, "a")]
    told = build(made.plan, made.records, made.timings)["claims"]
    assert [one["reason"] for one in told] == ["no verdict: not comparable: order"] * 2
    next(arm for arm in made.plan["arms"] if arm["name"] == "b")["varies"] = ["sampler"]
    told = build(made.plan, made.records, made.timings)["claims"]
    assert [one["verdict"] for one in told] == ["reproduced", "reproduced"]


def test_an_arm_with_the_bits_of_its_baseline_is_a_no_op_beside_that_alone(
    inputs: Callable[..., Any],
) -> None:
    made = inputs({"plain": 0.0, "same": 0.0, "b": -2.0})
    for own, base in zip(made.of("same"), made.of("plain"), strict=True):
        own["digests"], own["results"], own["observables"] = base["digests"], base["results"], {}
    made.plan["arms"][1]["recipe"] = made.plan["arms"][0]["recipe"]
    made.plan["claims"] = [claim("over b", "same", 2.0, "b"), claim("nothing", "same", 2.0)]
    told = build(made.plan, made.records, made.timings)["claims"]
    assert told[0]["verdict"] == "reproduced"
    assert told[1]["verdict"] is None and "bit for bit" in told[1]["reason"]
