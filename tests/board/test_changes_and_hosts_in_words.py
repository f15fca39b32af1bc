"""A comparison says which of two optimizers has changed, and in what two environments differ, with both values."""

from __future__ import annotations

from typing import Any

import pytest

from harness.board.compare_render import render_text
from harness.board.host_words import (
    MOST,
    apart_in_words,
    differences_in_words,
    environments_in_words,
    groups_in_words,
)
from harness.record.unlike import unlike_arms


def component(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": params}


def changed(key: str, base: list[Any], candidate: list[Any]) -> list[str]:
    return unlike_arms({"recipe": {key: base}}, {"recipe": {key: candidate}})


@pytest.mark.parametrize(
    ("key", "base", "candidate", "expected"),
    [
        (
            "optimizer",
            [component("muon", lr=0.02), component("adamw", lr=0.001)],
            [component("muon", lr=0.02), component("adamw", lr=0.002)],
            ["optimizer.adamw.params.lr is 0.001 there, 0.002 here"],
        ),
        # One of two is another: it goes by the name that it had.
        (
            "optimizer",
            [component("muon", lr=0.02), component("adamw", lr=0.001)],
            [component("sgd", lr=0.02), component("adamw", lr=0.001)],
            ["optimizer.muon.name is 'muon' there, 'sgd' here"],
        ),
        # Two of one name go by their places.
        (
            "optimizer",
            [component("sgd", lr=0.2), component("sgd", lr=0.1)],
            [component("sgd", lr=0.2), component("sgd", lr=0.3)],
            ["optimizer[1].params.lr is 0.1 there, 0.3 here"],
        ),
        # A lone optimizer is the one that there is.
        (
            "optimizer",
            [component("sgd", lr=0.2)],
            [component("sgd", lr=0.3)],
            ["optimizer[0].params.lr is 0.2 there, 0.3 here"],
        ),
        (
            "tricks",
            [component("ema", decay=0.9)],
            [component("ema", decay=0.99)],
            ["tricks.ema.params.decay is 0.9 there, 0.99 here"],
        ),
    ],
)
def test_a_component_of_a_list_goes_by_its_name(
    key: str, base: list[Any], candidate: list[Any], expected: list[str]
) -> None:
    assert changed(key, base, candidate) == expected


def host(torch: str, cores: int = 2, gib: float = 23.5, **libraries: str) -> dict[str, Any]:
    return {
        "accuracy": {"cpu": "AMD EPYC", "libraries": {"torch": torch, **libraries}, "python": "3.11.7"},
        "speed": {"cores": cores, "memory_bytes": int(gib * 2**30), "gpus": []},
    }


def test_what_machines_differ_in_is_told_with_both_values_and_torch_first() -> None:
    hosts = host("2.9.1"), host("2.15.0", cores=4, gib=47.6)
    differs = ["batch_size", "libraries.torch", "speed.cores", "speed.memory_bytes"]
    assert differences_in_words(differs, hosts) == (
        "torch 2.9.1 in the base, 2.15.0 in the candidate; batch_size; cores 2 in the base, 4 in the candidate; "
        "memory 24 GiB in the base, 48 GiB in the candidate"
    )
    many = [f"key {number}" for number in range(MOST + 3)]
    assert differences_in_words(many, hosts).endswith(f"key {MOST - 1}; and 3 more")


def test_what_bits_hang_on_is_told_of_all_libraries() -> None:
    hosts = host("2.9.1", numpy="2.3.5"), host("2.9.1", numpy="2.4.6", pillow="13.0")
    assert environments_in_words(*hosts) == (
        "numpy 2.3.5 in the base, 2.4.6 in the candidate; pillow none in the base, 13.0 in the candidate"
    )
    assert environments_in_words(hosts[0], hosts[0]) == "" == environments_in_words(None, None)


def test_groups_are_told_by_their_values_and_torch_first() -> None:
    shown = {"cpu": "A", "libraries.pillow": "13", "libraries.torch": "2.9.1", "speed.cores": 2}
    others = [{**shown, "libraries.torch": "2.15.0", "speed.cores": cores} for cores in (4, 8, 16, 32)]
    names = ["libraries.torch", "speed.cores"]
    assert groups_in_words(["speed.cores", "libraries.torch"], [shown, *others]) == (
        "torch: 2.9.1 here, 2.15.0 there; cores: 2 here, 4 and 8 and 16 and 1 more there"
    )
    pooled = groups_in_words(names, [shown, others[0]], is_pooled=True)
    assert pooled == "torch: 2.9.1 and 2.15.0; cores: 2 and 4"
    # What a machine lacks it has not; what a record's recipe is not unlike is as planned. Digests are cut.
    assert groups_in_words(["cpu"], [{}, shown]) == "cpu: none here, A there"
    assert groups_in_words(["recipe"], [{}, {"recipe": "0123456789abcdef" * 2}]) == (
        "recipe: as planned here, 0123456789ab there"
    )
    many = [f"key {number}" for number in range(MOST + 2)]
    entries = dict.fromkeys(many, 1)
    assert groups_in_words(many, [{}, entries]).endswith(
        f"key {MOST - 1}: as planned here, 1 there; and 2 more"
    )


def test_of_several_environments_one_is_told_that_the_other_side_lacks() -> None:
    old, new, newest = host("2.9.1"), host("2.14.0"), host("2.15.0")
    assert apart_in_words([old], [new]) == "torch 2.9.1 in the base, 2.14.0 in the candidate"
    assert apart_in_words([old, host("2.9.1", cores=8)], [new]) == apart_in_words([old], [new])
    for hosts in ([old, new], [new, old]):
        assert apart_in_words(hosts, [old]) == (
            "torch 2.14.0 in the base, 2.9.1 in the candidate; the base ran in 2 environments"
        )
    assert apart_in_words([old, new], [new, newest]) == (
        "torch 2.9.1 in the base, 2.15.0 in the candidate; "
        "the base ran in 2 environments; the candidate ran in 2 environments"
    )
    assert apart_in_words([old, new], [new, old]) == "" == apart_in_words([], [new])


def test_a_commit_stands_once_in_the_heading() -> None:
    side = {"suite": "s", "commits": ["4d4ef9c7cde1" + "0" * 28], "uncommitted": False}
    report: dict[str, Any] = {"arms": [], "notes": [], "only_base": [], "only_candidate": []}
    report |= {
        "base": {**side, "label": "HEAD~1 (4d4ef9c7cde1)"},
        "candidate": {**side, "label": "results/a"},
    }
    first = render_text(report).splitlines()[0]
    assert first == "HEAD~1 (4d4ef9c7cde1) (suite s) → results/a (suite s, commit 4d4ef9c7cde1)"
