"""`harness show`: what a docstring tells, and the newest measured effect of a component."""

import json
from datetime import date
from pathlib import Path

import pytest

from harness.cli.docs import papers_in, slots_of, take_apart
from harness.cli.effect import added, newest_effects
from harness.cli.effect_words import effect_lines
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
    *_, heading, line = done.stdout.splitlines()
    assert heading.startswith("Measured effect in points of test accuracy (suite augmentations, 20")
    words = f"{interval}, {row['verdict']}, on subset of cifar10: arm mixup against none (alpha = 0.2)"
    assert line == f"  {words}"
    (one,) = json.loads(harness("show", "mixup", "--json", "--results", REFERENCE / "augmentations").stdout)
    (effect,) = one["effects"]
    assert effect["difference"] == {name: row["difference"][name] for name in ("mean", "low", "high")}
    assert (effect["suite"], effect["arm"], effect["baseline"]) == ("augmentations", "mixup", "none")
    assert (effect["dataset"], effect["cell"]) == ("subset of cifar10", {})
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
        "Measured effect in points of test accuracy (suite ",
    ):
        assert words in done.stdout, words
    assert "Attributes:" not in done.stdout


def test_without_a_board_it_says_so(harness, tmp_path):
    done = harness("show", "mixup", "--results", tmp_path / "nowhere")
    assert done.returncode == 0 and "Measured effect: none yet" in done.stdout
    (one,) = json.loads(harness("show", "mixup", "--json", "--results", tmp_path).stdout)
    assert one["effects"] == []
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


def test_every_data_set_of_the_newest_board_is_named(harness):
    rows = rows_of("datasets")
    done = harness("show", "mixup", "--results", REFERENCE / "datasets")
    *_, heading, first, second, third = done.stdout.splitlines()
    assert heading.startswith("Measured effect in points of test accuracy (suite datasets, ")
    for line, arm, data in (
        (first, "mixup", "cifar10"),
        (second, "mixup.1", "fashion_products (parquet)"),
        (third, "mixup.2", "neu_cls (parquet)"),
    ):
        mean = f"{rows[arm]['difference']['mean']:+.2f}".replace("-", "−")
        assert line.startswith(f"  {mean} [")
        told = f"], {rows[arm]['verdict']}, on subset of {data}: arm {arm} against {rows[arm]['against']} (alpha = 0.2)"
        assert line.endswith(told)
    (one,) = json.loads(harness("show", "mixup", "--json", "--results", REFERENCE / "datasets").stdout)
    assert [effect["arm"] for effect in one["effects"]] == ["mixup", "mixup.1", "mixup.2"]
    assert [effect["dataset"].split()[2] for effect in one["effects"]] == [
        "cifar10",
        "fashion_products",
        "neu_cls",
    ]


def test_the_noise_of_a_copy_in_a_cell_is_no_effect_of_what_the_cell_has(tmp_path):
    """`aa = true` with a grid over schedules: each copy has its cell's schedule, and so has its baseline."""
    constant = {**PLAIN, "schedule": {**component("constant"), "warmup": 0.0}}
    cells = (("", constant, "constant"), (".1", PLAIN, "cosine"))
    rows = []
    for end, recipe, schedule in cells:
        sam = {**recipe, "tricks": [component("sam")]}
        for arm, its_recipe, mean in (("plain", recipe, None), ("plain-aa", recipe, -1.3), ("sam", sam, 2.0)):
            name = f"plain{end}-aa" if arm == "plain-aa" else arm + end
            cell = {"schedule": schedule}
            rows.append(row_of(name, its_recipe, mean, against=f"plain{end}", cell=cell))
    write_rows(tmp_path / "grid", rows)
    assert newest_effects(tmp_path, "schedule", "cosine") == []
    effects = newest_effects(tmp_path, "trick", "sam")
    assert [(one["arm"], one["baseline"], one["cell"]) for one in effects] == [
        ("sam", "plain", {"schedule": "constant"}),
        ("sam.1", "plain.1", {"schedule": "cosine"}),
    ]
    assert effect_lines(effects, "sam") == [
        "Measured effect in points of test accuracy (suite grid, no date):",
        "  +2.00, no verdict: one replicate, on digits, schedule = constant: arm sam against plain",
        "  +2.00, no verdict: one replicate, on digits, schedule = cosine: arm sam.1 against plain.1",
    ]


def test_of_a_grid_of_hundreds_the_first_are_told_and_how_many_are_left(tmp_path):
    sam = {**PLAIN, "tricks": [component("sam")]}
    rows = [row_of("plain", PLAIN, None)]
    write_rows(tmp_path / "grid", rows + [row_of(f"sam.{number}", sam, 1.0) for number in range(112)])
    _, *lines, last = effect_lines(newest_effects(tmp_path, "trick", "sam"), "sam")
    assert len(lines) == 12 and last.startswith("  and 100 more: ") and last.endswith("leaderboard.json")


def test_the_effect_of_one_model_of_a_family_is_not_another_models(tmp_path):
    arms = {
        name: {**PLAIN, "optimizer": [{**component(name), "parameters": "all"}]}
        for name in ("timm:adan", "timm:adanp")
    }
    rows = [row_of("plain", PLAIN, None), *(row_of(name, arms[name], 1.0) for name in arms)]
    write_rows(tmp_path / "optimizers", rows)

    def told(name, kind="optimizer"):
        return [effect["component"]["name"] for effect in newest_effects(tmp_path, kind, name)]

    assert told("timm:adan") == ["timm:adan"]
    assert told("timm:lion") == told("timm:ada") == told("timm:adan", "backbone") == []
    assert told("timm:") == ["timm:adan", "timm:adanp"]
    lines = effect_lines(newest_effects(tmp_path, "optimizer", "timm:"), "timm:")
    assert "+1.00 timm:adanp in place of sgd, " in lines[2]


def test_a_model_that_nothing_was_measured_of_is_not_said_to_exist(harness, tmp_path):
    done = harness("show", "timm:resnet9999", "--results", tmp_path)
    assert done.returncode == 0 and not done.torch
    for kind, article in (("backbone", "a"), ("optimizer", "an")):
        heading = f"{kind} timm:resnet9999: any "
        asked = (
            f'\nWhether timm: has {article} {kind} "resnet9999" is looked up by harness check, not here.\n'
        )
        assert heading in done.stdout and asked in done.stdout
    assert "timm:resnet9999 may be of several kinds: backbone, optimizer" in done.stderr
    told = json.loads(harness("show", "timm:resnet9999", "--json", "--results", tmp_path).stdout)
    assert [(one["kind"], one["name"], one["family"]) for one in told] == [
        ("backbone", "timm:resnet9999", "timm:"),
        ("optimizer", "timm:resnet9999", "timm:"),
    ]
    measured = {**PLAIN, "optimizer": [{**component("timm:adan"), "parameters": "all"}]}
    write_rows(tmp_path / "there", [row_of("plain", PLAIN, None), row_of("adan", measured, 1.0)])
    done = harness("show", "timm:adan", "--results", tmp_path)
    assert 'has a backbone "adan"' in done.stdout and 'has an optimizer "adan"' not in done.stdout
    assert "Whether" not in harness("show", "timm:", "--results", tmp_path).stdout


def row_of(arm, recipe, mean, *, against="plain", **more):
    return {
        "arm": arm,
        "baseline": mean is None,
        "against": against,
        "recipe": recipe,
        "difference": None if mean is None else {"mean": mean, "low": None, "high": None, "p": None},
        "verdict": None,
        "reason": "no verdict: one replicate",
        **more,
    }


def write_rows(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    board = {"suite": folder.name, "plan": "p", "rows": rows}
    (folder / "leaderboard.json").write_text(json.dumps(board))


def write_board(folder, mean, finished, **row):
    arm = {**PLAIN, "tricks": [component("sam", rho=0.1)]}
    write_rows(folder, [row_of("plain", PLAIN, None), {**row_of("with-sam", arm, mean), **row}])
    (folder / "plans").mkdir()
    (folder / "trials" / "t").mkdir(parents=True)
    trials = [{"id": "t", "arm": "with-sam", "replicate": 0}]
    (folder / "plans" / "p.json").write_text(json.dumps({"trials": trials}))
    (folder / "trials" / "t" / "0.json").write_text(json.dumps({"finished_at": finished}))


def test_the_newest_effect_counts_wherever_its_board_lies(tmp_path):
    write_board(tmp_path / "z-old", 1.0, "2026-01-01T10:00:00Z")
    write_board(tmp_path / "deep" / "er" / "new", 2.0, "2026-03-01T10:00:00Z")
    write_board(tmp_path / "failed", 9.0, "2026-04-01T10:00:00Z", difference=None)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "leaderboard.json").write_text("{")
    (effect,) = newest_effects(tmp_path, "trick", "sam")
    assert (effect["suite"], effect["date"], effect["difference"]["mean"]) == ("new", "2026-03-01", 2.0)
    assert (effect["verdict"], effect["reason"]) == (None, "no verdict: one replicate")
    assert newest_effects(tmp_path, "trick", "ema") == []
    assert newest_effects(tmp_path, "augmentation", "sam") == []
    assert newest_effects(tmp_path, "trick", "sa:") == []  # no family of that name
    assert newest_effects(tmp_path / "none", "trick", "sam") == []


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
