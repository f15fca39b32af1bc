"""`harness show`: what a docstring tells, and the newest measured effect of a component."""

import json
from datetime import date
from pathlib import Path

import pytest

from harness.cli.docs import papers_in, slots_of, take_apart
from harness.cli.effect import added, newest_effect
from harness.testing import toys

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def rows_of(suite):
    board = json.loads((REFERENCE / suite / "leaderboard.json").read_text())
    return {row["arm"]: row for row in board["rows"]}


def test_the_effect_on_the_committed_board_is_shown(harness):
    row = rows_of("augmentations")["mixup"]
    done = harness("show", "mixup", "--results", REFERENCE / "augmentations")
    assert done.returncode == 0 and not done.torch
    shown = {name: f"{row['difference'][name]:+.2f}".replace("-", "−") for name in ("mean", "low", "high")}
    interval = f"{shown['mean']} [{shown['low']}, {shown['high']}]"
    assert f"Measured effect: {interval} points of test accuracy, {row['verdict']}" in done.stdout
    (one,) = json.loads(harness("show", "mixup", "--json", "--results", REFERENCE / "augmentations").stdout)
    effect = one["effect"]
    assert effect["difference"] == {name: row["difference"][name] for name in ("mean", "low", "high")}
    assert (effect["suite"], effect["arm"], effect["baseline"]) == ("augmentations", "mixup", "none")
    assert effect["component"]["params"] == {"alpha": 0.2}
    ends = [
        json.loads(path.read_text())["finished_at"]
        for path in (REFERENCE / "augmentations" / "trials").glob("*/*.json")
        if json.loads(path.read_text())["arm"] == "mixup"
    ]
    assert effect["date"] == max(ends)[:10] == date.fromisoformat(effect["date"]).isoformat()


def test_a_page_has_every_part(harness):
    done = harness("show", "sam", "--results", REFERENCE)
    for words in (
        "trick sam: ",
        'Paper:\n  Foret et al. 2021, "Sharpness-Aware Minimization"',
        "When not to use it:\n  Not on a fixed budget of time",
        "rho  number, at least 0, default 0.05",
        "Radius, in the norm of all trainable weights",
        "Slots: update, state, observe",
        "Stage: ASCENT",
        "Observable: ",
        "Provides: two-pass-update",
        "Does nothing, bit for bit, at: rho = 0.0",
        "Measured effect: ",
    ):
        assert words in done.stdout, words
    assert "Attributes:" not in done.stdout


def test_without_a_board_it_says_so(harness, tmp_path):
    done = harness("show", "mixup", "--results", tmp_path / "nowhere")
    assert done.returncode == 0 and "Measured effect: none yet" in done.stdout
    (one,) = json.loads(harness("show", "mixup", "--json", "--results", tmp_path).stdout)
    assert one["effect"] is None
    assert one["papers"] == ['Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"']
    assert one["parameters"]["alpha"]["description"].startswith("Strength: 0 mixes nothing")


def component(name, **params):
    return {"name": name, "params": params}


PLAIN = {
    "dataset": {**component("digits"), "validation": 0.1},
    "augmentations": [component("flip")],
    "optimizer": [{**component("sgd", lr=0.1), "parameters": "all"}],
    "schedule": {**component("cosine"), "warmup": 0.0},
    "tricks": [],
    "batch_size": 32,
}


@pytest.mark.parametrize(
    ("change", "kind", "expected"),
    [
        ({"augmentations": [component("flip"), component("mixup")]}, "augmentation", ("mixup", None)),
        ({"augmentations": [component("mixup"), component("flip")]}, "augmentation", ("mixup", None)),
        ({"augmentations": [component("mixup")]}, "augmentation", None),  # the flip is gone too
        ({"augmentations": []}, "augmentation", None),
        ({"augmentations": [component("flip", p=0.3)]}, "augmentation", None),
        ({"augmentations": [component("grow", of=component("flip"))]}, "augmentation", ("grow", None)),
        (
            {"augmentations": [component("flip"), component("grow", of=component("mixup"))]},
            "augmentation",
            None,  # what it wraps is new as well
        ),
        ({"tricks": [component("sam")]}, "trick", ("sam", None)),
        ({"tricks": [component("sam")], "batch_size": 64}, "trick", None),
        ({"tricks": [component("sam"), component("ema")]}, "trick", None),
        (
            {"tricks": [component("distil")], "parents": {"teacher": {"arm": "big"}}},
            "trick",
            ("distil", None),
        ),
        ({"tricks": [component("distil")], "parents": {"init": {"arm": "big"}}}, "trick", None),
        ({"schedule": {**component("linear"), "warmup": 0.0}}, "schedule", ("linear", "cosine")),
        ({"schedule": {**component("cosine"), "warmup": 0.1}}, "schedule", None),
        ({"optimizer": [{**component("lion", lr=0.1), "parameters": "all"}]}, "optimizer", ("lion", "sgd")),
        ({"optimizer": [PLAIN["optimizer"][0], PLAIN["optimizer"][0]]}, "optimizer", None),
        (
            {"dataset": component("noisy", of=PLAIN["dataset"])},
            "dataset",
            ("noisy", "digits"),
        ),
        ({"dataset": component("noisy", of=component("mnist"))}, "dataset", None),
        ({"tricks": [component("sam")]}, "augmentation", None),
        ({"tricks": [component("sam")]}, "tracker", None),
        ({}, "trick", None),
    ],
    ids=str,
)
def test_what_an_arm_adds_to_its_baseline_by_hand(change, kind, expected):
    found = added({**PLAIN, **change}, PLAIN, kind)
    told = None if found is None else (found[0]["name"], found[1] and found[1]["name"])
    assert told == expected


def write_board(folder, mean, finished, **row):
    arm = {**PLAIN, "tricks": [component("sam", rho=0.1)]}
    rows = [
        {"arm": "plain", "baseline": True, "recipe": PLAIN, "difference": None},
        {
            "arm": "with-sam",
            "baseline": False,
            "recipe": arm,
            "difference": {"mean": mean, "low": None, "high": None, "p": None},
            "verdict": None,
            "reason": "no verdict: one replicate",
            **row,
        },
    ]
    (folder / "plans").mkdir(parents=True)
    (folder / "trials" / "t").mkdir(parents=True)
    (folder / "leaderboard.json").write_text(json.dumps({"suite": folder.name, "plan": "p", "rows": rows}))
    trials = [{"id": "t", "arm": "with-sam", "replicate": 0}]
    (folder / "plans" / "p.json").write_text(json.dumps({"trials": trials}))
    (folder / "trials" / "t" / "0.json").write_text(json.dumps({"finished_at": finished}))


def test_the_newest_effect_counts_wherever_its_board_lies(tmp_path):
    write_board(tmp_path / "z-old", 1.0, "2026-01-01T10:00:00Z")
    write_board(tmp_path / "deep" / "er" / "new", 2.0, "2026-03-01T10:00:00Z")
    write_board(tmp_path / "failed", 9.0, "2026-04-01T10:00:00Z", difference=None)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "leaderboard.json").write_text("{")
    effect = newest_effect(tmp_path, "trick", "sam")
    assert (effect["suite"], effect["date"], effect["difference"]["mean"]) == ("new", "2026-03-01", 2.0)
    assert (effect["verdict"], effect["reason"]) == (None, "no verdict: one replicate")
    assert newest_effect(tmp_path, "trick", "ema") is None
    assert newest_effect(tmp_path, "augmentation", "sam") is None
    assert newest_effect(tmp_path, "trick", "sa:") is None  # no family of that name
    assert newest_effect(tmp_path / "none", "trick", "sam") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Zhang et al. 2018, "mixup", equation 1', {"Zhang et al. 2018": '"mixup"'}),
        ('Foret et al., "Sharpness", ICLR 2021, algorithm 1', {"Foret et al. 2021": '"Sharpness"'}),
        (
            'Hinton, Vinyals and Dean, "Distilling", 2015, section 2',
            {"Hinton, Vinyals and Dean 2015": '"Distilling"'},
        ),
        ("Loshchilov and Hutter, ICLR 2019, algorithm 2", {"Loshchilov and Hutter 2019": ""}),
        ("as Adam's are (Kingma and Ba 2015)", {"Kingma and Ba 2015": ""}),
        ("In 2018 CIFAR 2019 had 2020 images", {}),
    ],
)
def test_papers_are_found_as_docstrings_name_them(text, expected):
    assert papers_in(text) == expected


def test_a_docstring_is_taken_apart():
    told = take_apart(
        """Do it.

        Doe et al. 2020, "It",
        equation 3: `x = y`. Not for short runs (Roe 2021). It is quick. Not for grey
        images either.

            kept = as it
            stands

        When not to use it: where it is
        slow.

        Attributes:
            alpha: Strength:
                0 is nothing.
            beta1, beta2: Decays.
        """
    )
    assert told.papers == ['Doe et al. 2020, "It"']
    assert told.not_for == [
        "Not for short runs (Roe 2021).",
        "Not for grey images either.",
        "Not where it is slow.",
    ]
    assert told.parameters == {"alpha": "Strength: 0 is nothing.", "beta1": "Decays.", "beta2": "Decays."}
    assert told.text.startswith("Do it.\n\n") and told.text.endswith("    kept = as it\n    stands")
    assert 'Doe et al. 2020, "It", equation 3: `x = y`. It is quick.' in told.text


def test_slots_are_those_of_the_trick_itself():
    assert slots_of(toys.ToyPenalty) == ["objective"]
    assert slots_of(toys.ToyAscent) == ["update"]
    assert slots_of(toys.ToyTouch)[-4:] == ["batch", "objective", "gradients", "update"]
    assert "plan" in slots_of(toys.ToyParts)


def test_a_plugin_file_whose_helper_fills_the_slots_is_shown_too(harness, tmp_path):
    path = tmp_path / "helped.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from harness.contract import Slots, Trick, hookimpl\n\n\n"
        "def made(ctx):\n"
        "    return Slots(gradients=print)\n\n\n"
        "@dataclass(frozen=True)\n"
        "class Helped(Trick):\n"
        '    """Nothing much."""\n\n'
        "    def bind(self, ctx):\n"
        "        return made(ctx)\n\n\n"
        "@hookimpl\n"
        "def harness_register(registry):\n"
        '    registry.add("trick", "helped", Helped, summary="nothing much")\n'
    )
    done = harness("show", "helped", "--file", path, "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Slots: gradients\n" in done.stdout
