"""Claims of a suite: what a plan holds of them, and that all that is wrong with them is told at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.errors import Problem
from harness.registry.discovery import discover
from harness.suite.expand import expand
from harness.suite.load import Suite, load
from harness.suite.schema import suite_schema

Problems = Callable[..., dict[str, Problem]]

ARMS = """\
[arms.smooth]
tricks = ["label-smoothing"]
[arms.still]
augmentations = []
[arms.apart]
augmentations = []
compared = false
tricks = ["sam"]
"""
CLAIM = """\
[[claim]]
name = "label smoothing"
source = "Szegedy et al. 2016"
arm = "smooth"
claimed = 0.2
"""
UNTESTABLE = """\
[[claim]]
name = "mixed precision"
source = "users"
metric = "images_per_second"
claimed = 2.3
testable = "needs a GPU"
"""


def load_suite(suite_file: Callable[..., Path], more: str) -> Suite:
    return load(suite_file(ARMS + more))


def test_a_claim_is_held_against_the_baseline_unless_it_says_otherwise(
    suite_file: Callable[..., Path],
) -> None:
    more = CLAIM + CLAIM.replace('"label smoothing"', '"other"') + 'against = "still"\n'
    claims = load_suite(suite_file, more).claims
    assert [(one["arm"], one["against"]) for one in claims] == [("smooth", "plain"), ("smooth", "still")]
    assert claims[0] == {
        "name": "label smoothing",
        "source": "Szegedy et al. 2016",
        "arm": "smooth",
        "against": "plain",
        "metric": "top1",
        "unit": "points",
        "claimed": 0.2,
        "testable": None,
    }


def test_a_claim_that_cannot_be_tested_needs_no_arm(suite_file: Callable[..., Path]) -> None:
    (claim,) = load_suite(suite_file, UNTESTABLE).claims
    assert (claim["arm"], claim["against"], claim["unit"]) == (None, None, "ratio")


def test_claims_are_in_the_plans_hash_and_in_no_trials_id(
    suite_file: Callable[..., Path], manifest: dict[str, Any]
) -> None:
    plans = [
        expand(suite, dict.fromkeys(suite.arms, manifest))
        for suite in (load_suite(suite_file, more) for more in ("", CLAIM, CLAIM.replace("0.2", "0.3")))
    ]
    assert len({plan.hash for plan in plans}) == 3
    assert plans[0].trials == plans[1].trials == plans[2].trials
    assert "claims" not in plans[0].to_json()
    assert type(plans[1]).from_json(plans[1].to_json()) == plans[1]


@pytest.mark.parametrize(
    ("old", "new", "path", "told"),
    [
        ('"smooth"', '"smoth"', "claim[0].arm", 'did you mean "smooth"?'),
        ('"smooth"', '"plain"', "claim[0].against", "a claim compares two arms"),
        ('"smooth"', '"apart"', "claim[0].arm", "compared = false"),
        ('arm = "smooth"\n', "", "claim[0].arm", "is missing"),
        ("0.2", '0.2\nagainst = "smooth"', "claim[0].against", "the arm itself"),
        ("0.2", '0.2\nmetric = "top5"', "claim[0].metric", 'must be one of "top1"'),
        ("0.2", "0.0", "claim[0].claimed", "must claim an effect in points; 0 is none"),
        ("0.2", "120", "claim[0].claimed", "must be at most 100"),
        ("0.2", "nan", "claim[0].claimed", "finite"),
        ("0.2", '"much"', "claim[0].claimed", "must be a number"),
        ("0.2", '-0.4\nmetric = "peak_memory"', "claim[0].claimed", "must be at least 0.001"),
        ("0.2", '1e308\nmetric = "peak_memory"', "claim[0].claimed", "must be at most 1000"),
        ("0.2", '1e-320\nmetric = "peak_memory"', "claim[0].claimed", "must be at least 0.001"),
        ("0.2", '1.0\nmetric = "peak_memory"', "claim[0].claimed", "a ratio (arm / against)"),
        ("claimed", "claim", "claim[0].claim", 'did you mean "claimed"?'),
        ('source = "Szegedy et al. 2016"\n', "", "claim[0].source", "is missing"),
        ("0.2", '0.2\ntestable = ""', "claim[0].testable", "at least 1 characters"),
    ],
)
def test_what_is_wrong_with_a_claim_is_told_with_its_place(
    problems_of: Problems, old: str, new: str, path: str, told: str
) -> None:
    assert old in CLAIM
    problems = problems_of(ARMS + CLAIM.replace(old, new))
    assert told in problems[path].message
    assert problems[path].line > 20


def test_all_problems_are_told_at_once_and_names_tell_rows_apart(problems_of: Problems) -> None:
    bad = CLAIM.replace('"smooth"', '"x"') + CLAIM + CLAIM.replace("0.2", "0")
    problems = problems_of(ARMS + bad)
    assert {"claim[0].arm", "claim[1].name", "claim[2].name", "claim[2].claimed"} == set(problems)
    assert "is the name of claim[0] already" in problems["claim[2].name"].message


def test_a_baseline_that_is_not_there_is_told_once(problems_of: Problems) -> None:
    top = '[[claim]]\nname = "a"\nsource = "b"\narm = "p"\nclaimed = 1\n'
    base = 'schema = 1\nname = "t"\nbaseline = "q"\n[budget]\nsteps = 1\n[recipe]\ndataset = "digits"\n'
    base += 'backbone = "simple-cnn"\noptimizer = { name = "sgd", lr = 0.1 }\n[arms.p]\n'
    assert set(problems_of(top, base)) == {"baseline"}


def test_one_table_in_place_of_a_list_is_told(problems_of: Problems) -> None:
    assert "[[claim]]" in problems_of("[claim]\nname = 1\n")["claim"].message


def test_editors_know_the_keys_of_a_claim(suite_file: Callable[..., Path]) -> None:
    schema = suite_schema(discover([], allow="first-party"))
    one = schema["properties"]["claim"]["items"]
    jsonschema.validate({"name": "a", "source": "b", "claimed": 1.0, "arm": "c"}, one)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a", "source": "b", "claimed": 1.0, "metric": "size"}, one)
