"""A key of a grid that means nothing for some arms, or for any: one line, with the arms and the nearest spelling."""

from collections.abc import Callable
from typing import Any

import pytest

ARMS = """
[arms.smooth]
tricks = ["label-smoothing"]
[arms.sharp]
tricks = ["sam", "label-smoothing"]
[arms.adam]
optimizer = { name = "adamw", lr = 0.1 }
"""


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        (
            '"tricks.smam.rho" = [0.1, 0.2]',
            'there is no trick "smam" in tricks of any arm; did you mean "sam"? (there: label-smoothing, sam)',
        ),
        ('"tricks.zzzzz.rho" = [0.1]', "of any arm (there: label-smoothing, sam)"),
        (
            '"tricks.sam.rho" = [0.1, 0.2]',
            'means nothing for arms "plain", "smooth", "adam": they have no trick "sam"; a key of the grid is set in '
            "every arm, so give it to those as well, or give the arms that have it one arm for each value",
        ),
        (
            '"tricks.sam.roh" = [0.1, 0.2]',
            'trick "sam" has no such parameter: unknown key "roh"; did you mean "rho"? allowed: rho; and arms "plain", '
            '"smooth", "adam" have no trick "sam"',
        ),
        (
            '"tricks.label-smoothing.smothing" = [0.1]',
            'did you mean "smoothing"? allowed: smoothing; and arms "plain"',
        ),
        # A lone optimizer needs no name, so the word is a parameter of it.
        (
            '"optimizer.momentum" = [0.1, 0.2]',
            'means nothing for arm "adam": optimizer "adamw" has no such parameter: unknown key "momentum"',
        ),
        (
            '"tricks[0].rho" = [0.1, 0.2]',
            'means nothing for arms "plain", "adam": there is no trick "[0]" in tricks (there: none); means nothing '
            'for arm "smooth": trick "label-smoothing" has no such parameter',
        ),
    ],
)
def test_a_key_that_not_all_arms_have_is_one_line(
    problems_of: Callable[..., Any], grid: str, told: str
) -> None:
    found = problems_of(f"{ARMS}[grid]\n{grid}\n")
    assert len(found) == 1, found
    (problem,) = found.values()
    assert told in problem.message


def test_many_arms_that_lack_it_are_counted(problems_of: Callable[..., Any]) -> None:
    arms = "".join(f"[arms.a{number}]\nbatch_size = {number + 8}\n" for number in range(7))
    found = problems_of(f'{arms}[arms.sharp]\ntricks = ["sam"]\n[grid]\n"tricks.sam.rho" = [0.1]\n')
    problem = found["grid.tricks.sam.rho"]
    assert 'for arms "plain", "a0", "a1", "a2", "a3" and 3 more: they have no trick "sam"' in problem.message
