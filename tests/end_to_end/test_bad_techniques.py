"""Techniques that are set wrong or do not fit the data or each other: `harness check` refuses each, naming the key."""

import json

import pytest

OUT_OF_RANGE = {
    '{ name = "mixup", alpha = -0.1 }': ("alpha", "at least 0"),
    '{ name = "horizontal-flip", probability = 1.5 }': ("probability", "at most 1"),
    '{ name = "cutout", size = 2.5 }': ("size", "whole number"),
    '{ name = "progressive", of = { name = "rotation", degrees = 400.0 } }': ("of.degrees", "at most 180"),
    '{ name = "progressive", of = "mixup", end = 1.5 }': ("end", "at most 1"),
    '{ name = "progressive" }': ("of", "is missing: the augmentation"),
    '{ name = "progressive", of = "ricap" }': ("", 'grows: "strength" needs'),
    '{ name = "progressive", of = "mixup", start = 0.6, end = 0.4 }': ("", "start: 0.6 must be before end"),
    '{ name = "class-aware", of = "mixupp", probabilities = [1, 1, 1] }': ("of", 'did you mean "mixup"'),
    '{ name = "class-aware", of = "mixup", probabilities = [0.5, 2.0, 0.5] }': ("probabilities", "at most 1"),
    '{ name = "class-aware", of = "mixup" }': ("", "probabilities: is missing"),
    '{ name = "class-aware", of = "mixup", default = 0.5, classes = { 0 = 2.0 } }': ("classes", "at most 1"),
}
TRICKS_OUT_OF_RANGE = {
    '{ name = "adversarial", epsilon = 256 }': ("epsilon", "at most 255"),
    '{ name = "adversarial", steps = 0 }': ("steps", "at least 1"),
    '{ name = "adversarial", share = 1.1 }': ("share", "at most 1"),
    '{ name = "class-weights", method = "given", weights = [1.0, 0.0, 1.0] }': ("weights", "more than 0"),
    '{ name = "class-weights", method = "given" }': ("", 'weights: go together with method = "given"'),
    '{ name = "class-weights", method = "balance" }': ("method", '"balanced"'),
    '{ name = "class-weights", beta = 1.0 }': ("beta", "less than 1"),
    '{ name = "label-smoothing", smoothing = 1.0 }': ("smoothing", "less than 1"),
    '{ name = "grad-accumulation", micro_batches = 0 }': ("micro_batches", "at least 1"),
}


def test_a_strength_out_of_range_is_refused_by_its_key(place):
    place.suite(
        f"[arms.a]\naugmentations = [{', '.join(OUT_OF_RANGE)}]\n"
        f"[arms.t]\ntricks = [{', '.join(TRICKS_OUT_OF_RANGE)}]\n"
    )
    lines = place.run("check", "toy.toml", code=2).stderr.splitlines()
    for key, cases in (("a.augmentations", OUT_OF_RANGE), ("t.tricks", TRICKS_OUT_OF_RANGE)):
        for index, (where, told) in enumerate(cases.values()):
            path = f"arms.{key}[{index}]" + (f".{where}" if where else "")
            assert any(f" {path}" in line and told in line for line in lines), (path, told, lines)
    assert len(lines) == len(OUT_OF_RANGE) + len(TRICKS_OUT_OF_RANGE), lines


PLUGIN = '''
from dataclasses import dataclass
from harness.contract import Slots, Stage, StepPlan, Trick, hookimpl

@dataclass(frozen=True)
class Contrastive(Trick):
    """A loss over all pairs of the batch."""
    stage = Stage.OBJECTIVE
    conflicts = frozenset({"micro-batches"})

@hookimpl
def harness_register(registry):
    registry.add("trick", "contrastive", Contrastive, summary="all pairs of a batch")
'''


def test_a_loss_over_the_whole_batch_is_refused_with_micro_batches(place):
    place.write("pairs.py", PLUGIN)
    finder = '{ name = "batch-size-finder", limit_gib = 1.0 }'
    place.suite(
        '[arms.a]\ntricks = ["contrastive", { name = "grad-accumulation", micro_batches = 2 }]\n'
        f'[arms.b]\ntricks = [{finder}, "contrastive"]\n[arms.c]\ntricks = ["contrastive"]\n',
        plugins=["pairs.py"],
    )
    lines = place.run("check", "toy.toml", code=2).stderr.splitlines()
    assert len(lines) == 2
    for line, (path, other) in zip(
        lines,
        (("a.tricks[0]", "grad-accumulation"), ("b.tricks[1]", "batch-size-finder")),
        strict=True,
    ):
        assert f"arms.{path}" in line
        assert f'"contrastive" cannot go together with "{other}": it conflicts with "micro-batches"' in line


AT_CHECK = {
    # The toy data has 3 classes.
    "few": (
        'augmentations = [{ name = "class-aware", of = "mixup", probabilities = [0.5, 0.5] }]',
        "class-aware, slot bind: ValueError: probabilities: has 2 numbers, and the data 3 classes",
    ),
    "beyond": (
        'augmentations = [{ name = "class-aware", of = "mixup", default = 1.0, classes = { 3 = 0.5 } }]',
        "class-aware, slot bind: ValueError: classes: there is no class 3",
    ),
    "weights": (
        'tricks = [{ name = "class-weights", method = "given", weights = [1.0, 2.0, 3.0, 4.0] }]',
        "class-weights, slot bind: ValueError: weights: has 4 numbers, and the data 3 classes",
    ),
    # An optimizer that is not there, and the nearest that is.
    "unknown": (
        'optimizer = { name = "adabond", lr = 0.1 }',
        'there is no optimizer "adabond"; did you mean "adabound"?',
    ),
    "other-kind": (
        'optimizer = { name = "mixup", lr = 0.1 }',
        "there is a component of that name of kind augmentation",
    ),
    "timm": ('optimizer = { name = "timm:lambb", lr = 0.1 }', "did you mean timm:lamb"),
    "torch": ('optimizer = { name = "torch:NAdan", lr = 0.1 }', "did you mean torch:NAdam"),
    "transform": ('augmentations = ["torchvision:RandAugmen"]', "did you mean torchvision:RandAugment"),
    # It grows from nothing: the first step does not show what is wrong with it.
    "later": (
        'augmentations = [{ name = "progressive", of = "torchvision:Grayscale", grows = "probability" }, '
        '{ name = "progressive", of = { name = "torchvision:CenterCrop", options = { size = 4 } }, '
        'grows = "probability", curve = [[0, 0], [1, 0.5]] }]',
        "of: it makes image (1, 4, 4) of (1, 8, 8), so that no sample can be left out",
    ),
    "fine": ('augmentations = [{ name = "progressive", of = "translate" }]', None),
    "words": (
        'augmentations = ["cutout"]\ndataset = "words"',
        'augmentations[0]: "cutout" takes images, and dataset "words" gives text alone',
    ),
    "bare-words": (
        'dataset = "words"',
        'backbone: "toy-net" takes images, and dataset "words" gives text alone',
    ),
    # Digits name the flips as what changes a label's meaning.
    "flipped": ('augmentations = ["horizontal-flip", "cutout"]\ndataset = "digits"', None),
    "wrapped": (
        'augmentations = [{ name = "progressive", of = { name = "class-aware", of = "vertical-flip", '
        'default = 0.5 } }]\ndataset = "digits"',
        None,
    ),
}

WORDS = '''
from dataclasses import dataclass
import numpy as np
from harness.contract import Dataset, Prepared, Split, hookimpl

@dataclass(frozen=True)
class Words(Dataset):
    """Text alone."""
    def prepare(self, root):
        def split(count, start):
            words = np.random.default_rng(start).integers(0, 256, (count, 12), dtype=np.uint8)
            return Split({"text": words}, np.arange(count, dtype=np.int64) % 3)
        return Prepared(split(96, 0), split(48, 1), ("a", "b", "c"))

@hookimpl
def harness_register(registry):
    registry.add("dataset", "words", Words, summary="text alone")
'''


@pytest.fixture(scope="module")
def checked(new_place):
    """What one `harness check` says of all those arms, by arm."""
    place = new_place()
    place.write("words.py", WORDS)
    arms = [
        f"[arms.{arm}]\n{text}\n" + ('varies = ["dataset"]\n' if "dataset" in text else "")
        for arm, (text, _) in AT_CHECK.items()
    ]
    place.suite("".join(arms), plugins=["words.py"])
    return {one["arm"]: one for one in json.loads(place.run("check", "toy.toml", "--json", code=1).stdout)}


@pytest.mark.parametrize("arm", AT_CHECK)
def test_what_depends_on_the_data_is_refused_by_its_key(checked, arm):
    _, told = AT_CHECK[arm]
    error = checked[arm]["error"]
    assert error is None if told is None else told in error


def test_the_other_arms_of_the_file_are_checked(checked):
    assert checked["plain"] == {"arm": "plain", "error": None, "warnings": [], "status": "ok"}


@pytest.mark.parametrize(("arm", "name"), [("flipped", "horizontal-flip"), ("wrapped", "vertical-flip")])
def test_an_augmentation_that_changes_labels_is_warned_of_wrapped_or_not(checked, arm, name):
    told = f"augmentation {name}: dataset digits says that it changes what a label means"
    assert checked[arm]["warnings"] == [told]
