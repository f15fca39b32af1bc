"""Drawn signs: which bit decides which sign, and that a p-value depends on nothing but its own differences."""

from __future__ import annotations

import hashlib
import math
import random
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from harness.board import sign_flip
from harness.board.sign_flip import DRAWS, pair_flip_ps, sign_flip_p, sign_flip_ps

Values = dict[str, dict[int, float]]


def differences_of(seed: int, count: int, shift: float = 0.2) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(shift, 0.5) for _ in range(count)]


def signs_of(seed: int, part: int, places: int) -> list[list[int]]:
    """By place and draw, bit by bit: 157 words of 64 bits a place, each octet's highest bit first."""
    key = hashlib.blake2b(f"board/sign-flip/{seed}/{part}".encode(), digest_size=16).digest()
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(157 * places).tolist()
    octets = [word >> shift & 255 for word in words for shift in range(0, 64, 8)]
    bits = [octet >> shift & 1 for octet in octets for shift in range(7, -1, -1)]
    return [[2 * bit - 1 for bit in bits[157 * 64 * place :][:DRAWS]] for place in range(places)]


def share_of(values: list[float], signs: list[list[int]]) -> float:
    """The p-value by a plain loop over the draws; `values` are in the order of their signs."""
    sums = [0.0] * DRAWS
    for value, own in zip(values, signs, strict=True):
        sums = [total + value * sign for total, sign in zip(sums, own, strict=True)]
    extreme = sum(abs(total) >= abs(sum(values)) - 1e-9 for total in sums)
    return (extreme + 1) / (DRAWS + 1)


def arms_of(seed: int, arms: int, replicates: int, *, missing: float = 0.0) -> Values:
    """Accuracies in hundredths of a point, so that sums tie; some replicates of each arm may be missing."""
    draw = random.Random(seed)
    shared = [draw.gauss(90, 1) for _ in range(replicates)]
    return {
        f"arm{arm}": {
            replicate: round(value + 0.06 * arm + draw.gauss(0, 0.3), 2)
            for replicate, value in enumerate(shared)
            if draw.random() >= missing
        }
        for arm in range(arms)
    }


def test_drawn_p_values_equal_a_loop_over_the_bits() -> None:
    values = differences_of(1, 23)
    in_order = sorted(abs(value) for value in values)
    signs = signs_of(7, 0, 23)
    sums = [
        sum(value * own[draw] for value, own in zip(in_order, signs, strict=True)) for draw in range(DRAWS)
    ]
    extreme = sum(abs(total) >= abs(sum(values)) - 1e-9 for total in sums)
    assert sign_flip_p(values, 7) == (extreme + 1) / (DRAWS + 1)
    assert 100 < extreme < 5000
    assert sign_flip_p(values, 8) != sign_flip_p(values, 7)


def test_drawn_signs_agree_with_the_exact_share() -> None:
    for seed in range(5):
        values = differences_of(seed, 18, shift=0.18)
        observed = abs(math.fsum(values)) * (1 - 1e-12)
        exact = sign_flip._exact_share(sorted(map(abs, values)), observed)
        assert sign_flip_p(values, 5) == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / DRAWS))
    # No draw is as extreme as 200 differences of one sign, and the p-value is not 0.
    assert sign_flip_p([1.0] * 200) == 1 / (DRAWS + 1)


def test_each_place_and_each_part_has_signs_of_its_own() -> None:
    signs = np.concatenate([np.array(signs_of(0, part, 30)) for part in (0, 1)])
    products = signs @ signs.T / DRAWS
    # 60 rows: 1770 pairs, five standard errors of each.
    assert np.abs(products - np.eye(60)).max() < 5 / math.sqrt(DRAWS)
    assert np.array_equal(np.array(signs_of(0, 0, 12)), signs[:12])


def test_an_arm_is_tested_alike_alone_and_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = [differences_of(seed, count) for seed, count in enumerate((18, 7, 200, 40, 18))] + [[0.0] * 30]
    together = sign_flip_ps(arms, 3, 0.0005)
    assert together == [sign_flip_p(values, 3, 0.0005) for values in arms]
    assert together[::-1] == sign_flip_ps([values[::-1] for values in arms[::-1]], 3, 0.0005)
    assert together[0] == sign_flip_p([*arms[0], 0.0, 0.0], 3, 0.0005)
    assert together[5] == 1.0
    # However few draws are held at once.
    monkeypatch.setattr(sign_flip, "NUMBERS_AT_ONCE", 2000)
    assert sign_flip_ps(arms, 3, 0.0005) == together


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_pairs_equal_a_loop_over_their_differences(missing: float) -> None:
    arms = arms_of(2, 4, 40, missing=missing)
    signs = signs_of(9, 0, 40)
    found = pair_flip_ps(arms, 17, 9)
    assert len(found) == 6
    for one, other in combinations(arms, 2):
        common = sorted(arms[one].keys() & arms[other].keys())
        values = [arms[one][replicate] - arms[other][replicate] for replicate in common]
        assert (len(common) < 40) == bool(missing)
        better = (one, other) if sum(values) > 0 else (other, one)
        assert found[better] == share_of(values, [signs[replicate] for replicate in common])
    assert len(set(found.values())) > 2
    assert found == pair_flip_ps({arm: dict(reversed(arms[arm].items())) for arm in reversed(arms)}, 17, 9)


def test_pairs_without_enough_replicates_in_common_are_left_out() -> None:
    arms = arms_of(3, 3, 40)
    arms["arm1"] = {replicate: value for replicate, value in arms["arm1"].items() if replicate < 19}
    assert {frozenset(pair) for pair in pair_flip_ps(arms, 20)} == {frozenset({"arm0", "arm2"})}
    assert len(pair_flip_ps(arms, 19)) == 3
    few = {arm: dict(list(values.items())[:10]) for arm, values in arms.items()}
    few["arm0"].pop(4)
    assert len(pair_flip_ps(few, 10)) == 1 and len(pair_flip_ps(few, 9)) == 3


@pytest.mark.parametrize("differing", [3, 16])
def test_pairs_that_differ_in_few_of_many_replicates_are_tested_exactly(differing: int) -> None:
    values = dict.fromkeys(range(30), 90.0)
    better = {
        replicate: value + (0.01 if replicate < differing else 0.0) for replicate, value in values.items()
    }
    found = pair_flip_ps({"plain": values, "same": values, "better": better}, 5)
    assert found["better", "plain"] == found["better", "same"] == 2 / 2**differing
    assert found["same", "plain"] == 1.0 if ("same", "plain") in found else found["plain", "same"] == 1.0


def test_sixteen_replicates_are_exact_and_seventeen_agree_with_them() -> None:
    arms = arms_of(5, 3, 17)
    drawn = pair_flip_ps(arms, 6)
    for (one, other), p in drawn.items():
        values = [arms[one][replicate] - arms[other][replicate] for replicate in range(17)]
        observed = abs(sum(values)) - 1e-9
        exact = sign_flip._exact_share(sorted(abs(value) for value in values if value), observed)
        assert p == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / DRAWS) + 1e-4)
    for own in arms.values():
        del own[4]
    for (one, other), p in pair_flip_ps(arms, 6).items():
        assert p == sign_flip_p([arms[one][replicate] - arms[other][replicate] for replicate in arms[one]])


def test_a_level_that_one_part_cannot_reach_has_more() -> None:
    arms = {"plain": dict.fromkeys(range(60), 90.0), "best": dict.fromkeys(range(60), 91.0)}
    # As many as it takes, no more: 60 of one sign are beyond any doubt.
    assert pair_flip_ps(arms, 6, 0, 0.05 / 1225) == {("best", "plain"): 1 / 30_001}
    assert pair_flip_ps(arms, 6, 0, 0.05) == {("best", "plain"): 1 / 10_001}


def with_p(wanted: float, count: int, seed: int) -> tuple[list[float], float]:
    """Return differences whose exact p-value is near the wanted one, and that p-value."""
    noise, low, high = differences_of(seed, count, 0.0), 0.0, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        values = [one + middle for one in noise]
        exact = sign_flip._exact_share(sorted(map(abs, values)), abs(math.fsum(values)) * (1 - 1e-12))
        low, high = (middle, high) if exact > wanted else (low, middle)
    return values, exact


def test_a_small_level_has_25_draws_beyond_it() -> None:
    level = 0.05 / 500  # 10,000 draws would have one beyond it
    for seed, share in enumerate((0.5, 0.7)):
        values, exact = with_p(share * level, 22, seed)
        p = sign_flip_p(values, seed, level)
        assert p * 250_001 == pytest.approx(round(p * 250_001), abs=1e-6)
        assert p == pytest.approx(exact, abs=4 * math.sqrt(exact / 250_000) + 1 / 250_000)
        assert p <= level


def test_draws_end_where_they_can_change_nothing() -> None:
    level = 0.05 / 500
    # 25 of 250,000 draws may be as extreme: more of them are, and after 10,000 draws it is over.
    values, exact = with_p(0.01, 22, 1)
    p = sign_flip_p(values, 3, level)
    assert p == sign_flip_p(values, 3)
    assert p == pytest.approx(exact, abs=4 * math.sqrt(exact / 10_000))
    # Twice the level: after the 26th, which comes about the 130,000th draw.
    values, exact = with_p(2 * level, 22, 2)
    p = sign_flip_p(values, 3, level)
    assert level < p
    assert p in {(count + 1) / (part * DRAWS + 1) for part in range(5, 26) for count in range(25, 40)}


def test_draws_that_end_early_keep_every_level() -> None:
    # Of 3,000 arms without an effect: at the level, and above it, where the draws of most have ended early.
    level, hits = 0.0005, {0.0005: 0, 0.002: 0, 0.01: 0, 0.05: 0}
    draw = np.random.default_rng(8)
    arms = draw.normal(size=(3000, 20)).tolist()
    found = sign_flip_ps(arms, 4, level)
    for a in hits:
        hits[a] = sum(p <= a for p in found)
        assert hits[a] <= stats.binom.ppf(0.999, 3000, a)
    assert hits[0.05] >= stats.binom.ppf(0.001, 3000, 0.05)


def test_pairs_of_very_many_replicates_have_fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(2)
    arms = {
        name: dict(enumerate(draw.normal(mean, 1, 60).tolist())) for name, mean in (("a", 0.0), ("b", 1.0))
    }
    level = 0.05 / 500
    (many,) = pair_flip_ps(arms, 6, 0, level).values()
    monkeypatch.setattr(sign_flip, "PAIR_SIGNS", 60 * DRAWS * 3)
    (few,) = pair_flip_ps(arms, 6, 0, level).values()
    assert few == pytest.approx(many, abs=5 * math.sqrt(many / 30_000))
    draws = [
        next(part for part in range(1, 26) if abs(p * (part * DRAWS + 1) % 1 - 0.5) > 0.5 - 1e-6)
        for p in (few, many)
    ]
    assert draws == [3, 25]
