from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import PluginError
from harness.registry.discovery import discover

F = "@dataclass(frozen=True)\n"
BIND = "    def bind(self, ctx): ..."


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("trick", F + "class Toy: pass", "does not derive from harness.contract.Trick"),
        ("trick", F + "class Toy(Augmentation):\n" + BIND, "does not derive from harness.contract.Trick"),
        ("trick", "class Toy(Trick): pass", "is not a dataclass"),
        ("trick", "@dataclass\nclass Toy(Trick): pass", "is not frozen"),
        ("trick", F + "class Base(Trick): pass\nclass Toy(Base): pass", "is not a dataclass"),
        ("trick", F + "class Toy(Trick):\n    stage: ClassVar[int] = 60", "its stage must be one of"),
        ("augmentation", F + "class Toy(Augmentation):\n    stage = Stage.CLIP\n" + BIND, "Stage.GEOMETRY"),
        ("trick", F + "class Toy(Trick):\n    def bnd(self, ctx): ...", 'did you mean "bind"'),
        ("trick", F + "class Toy(Trick):\n    def modle(self, model, ctx): ...", 'did you mean "model"'),
        ("trick", F + "class Toy(Trick):\n    provide = frozenset({'x'})", 'did you mean "provides"'),
        ("trick", F + "class Toy(Trick):\n    provides = 'word'", "must be a frozenset of words"),
        ("trick", F + "class Toy(Trick):\n    def bind(self): ...", "bind(self) cannot be called as bind(self, ctx)"),
        ("trick", F + "class Toy(Trick):\n    def plan(self, plan, more): ...", "cannot be called as plan(self, plan)"),
        ("trick", F + "class Toy(Trick):\n    rho: float = 1.0\n    identity = {'rh': 0}", 'did you mean "rho"'),
        ("trick", F + "class Toy(Trick):\n    name: str = 'x'", 'the field "name" is taken'),
        ("schedule", F + "class Toy(Schedule):\n    warmup: int = 3", '"warmup" is taken'),
        ("schedule", F + "class Toy(Schedule): pass", 'does not define "rate"'),
        ("optimizer", F + "class Toy(Optimizer):\n    def build(self, groups): ...", 'needs a field "lr"'),
        ("dataset", F + "class Toy(Dataset):\n    of: Dataset = Dataset()", "None is its only default"),
    ],
)  # fmt: skip
def test_an_unfit_class_is_refused_with_the_reason(
    plugin_file: Callable[..., Path], kind: str, body: str, told: str
) -> None:
    (broken,) = discover([plugin_file(body, kind)], allow="none").entries()
    assert broken.status == "broken"
    assert told in broken.error


def test_names_of_ones_own_are_no_misspellings(plugin_file: Callable[..., Path]) -> None:
    body = F + "class Toy(Trick):\n    def smooth(self): ...\n    def _bindd(self): ...\n" + BIND
    registry = discover([plugin_file(body)], allow="none")
    assert registry.entries()[0].status == "ok"


def test_a_family_needs_a_field_for_the_model(plugin_file: Callable[..., Path]) -> None:
    body = F + "class Toy(Backbone):\n    def build(self, info): ..."
    (broken,) = discover([plugin_file(body, "backbone", "zoo:")], allow="none").entries()
    assert 'needs a field "model"' in broken.error


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("'nowhere.at_all:Toy'", "No module named 'nowhere'"),
        ("'harness_plugins.tricks.sam:Samm'", 'did you mean "Sam"'),
        ("'harness_plugins.tricks.sam:dataclass'", "is not a class"),
        ("'harness_plugins.optimizers.sgd:Sgd'", "does not derive from harness.contract.Trick"),
    ],
)
def test_a_target_that_leads_nowhere_is_told_when_it_is_used(
    plugin_file: Callable[..., Path], target: str, told: str
) -> None:
    registry = discover([plugin_file("", target=target)], allow="none")
    entry = registry.find("trick", "toy")
    with pytest.raises(PluginError) as error:
        registry.load(entry)
    assert told in str(error.value)


def test_an_annotation_that_cannot_be_resolved_says_what_to_do(plugin_file: Callable[..., Path]) -> None:
    (broken,) = discover([plugin_file(F + "class Toy(Trick):\n    x: Nowhere = 1")], allow="none").entries()
    assert "Nowhere" in broken.error and "outside TYPE_CHECKING" in broken.error


@pytest.mark.parametrize(("kind", "name", "told"), [
    ("trick", "label-smooting", 'did you mean "label-smoothing"'),
    ("trick", "mixup", "there is a component of that name of kind augmentation"),
    ("trik", "sam", 'did you mean "trick"'),
])  # fmt: skip
def test_an_unknown_name_is_told_with_the_nearest(kind: str, name: str, told: str) -> None:
    with pytest.raises(PluginError) as error:
        discover().find(kind, name)
    assert told in str(error.value)
