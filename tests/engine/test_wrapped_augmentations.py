"""An augmentation around another stands where that one stands; and what adversarial passes cost is in the record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engine.check import check_arm
from harness.engine.culprit import Owners
from harness.engine.first import first_step
from harness.engine.loader_choice import in_loader
from harness.engine.trial import open_run, run_trial
from harness.errors import PluginError
from harness.registry.discovery import discover
from harness.suite.plan import Job
from harness.suite.recipe import incompatible
from harness.testing.jobs import TOYS, component

PLUGIN = '''
from dataclasses import dataclass
from harness.contract import *

@dataclass(frozen=True)
class Tagged(Augmentation):
    """Needs a tag, and gives one."""
    strength: float = 1.0
    stage = Stage.MIX
    identity = {"strength": 0.0}
    requires = frozenset({"wanted"})
    provides = frozenset({"given"})
    def bind(self, ctx):
        def fail(batch):
            raise RuntimeError(f"at {self.strength}")
        return fail

@dataclass(frozen=True)
class Foe(Trick):
    """Cannot go with what the other gives."""
    conflicts = frozenset({"given"})
    provides = frozenset({"wanted"})

@hookimpl
def harness_register(registry):
    registry.add("augmentation", "tagged", Tagged, summary="needs a tag")
    registry.add("trick", "foe", Foe, summary="conflicts")
'''


def normal(name: str, **params: Any) -> dict[str, Any]:
    found, problems = discover([]).validate("augmentation", {"name": name, **params}, name)
    assert not problems, problems
    return found


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    (tmp_path / "tagged.py").write_text(PLUGIN)
    return str(tmp_path / "tagged.py")


def wrapped_twice(of: dict[str, Any]) -> dict[str, Any]:
    inner = component("class-aware", of=of, probabilities=[1.0, 1.0, 1.0], default=None, classes={})
    growth = {"grows": "strength", "curve": [[0.0, 0.0], [1.0, 1.0]], "start": 0.0, "end": 1.0, "levels": 10}
    return component("progressive", of=inner, **growth)


def test_tags_are_those_of_the_innermost(plugin: str) -> None:
    registry = discover([Path(plugin)])
    augmentation = wrapped_twice(component("tagged", strength=1.0))
    alone = incompatible({"augmentations": [augmentation], "tricks": []}, registry)
    assert [(one.path, one.message) for one in alone] == [
        ("augmentations[0]", '"progressive" requires "wanted", which nothing in the recipe provides')
    ]
    beside = incompatible({"augmentations": [augmentation], "tricks": [component("foe")]}, registry)
    assert [(one.path, one.message) for one in beside] == [
        ("tricks[0]", '"foe" cannot go together with "progressive": it conflicts with "given"')
    ]


def test_the_stage_is_that_of_the_innermost(make_job: Callable[..., Job]) -> None:
    names = [
        normal("progressive", of="mixup", grows="probability"),
        normal("progressive", of="horizontal-flip"),
    ]
    run = open_run(make_job(augmentations=[*names, normal("cutout", size=2)]), Owners())
    (line,) = [line for line in run.pipeline.splitlines() if line.startswith("batch: ")]
    assert line == (
        "batch: augmentation progressive#2 (GEOMETRY) -> augmentation cutout (CONTENT) "
        "-> augmentation progressive (MIX)"
    )


def test_what_is_wrapped_runs_in_the_loader_where_it_would_bare(make_job: Callable[..., Job]) -> None:
    of = {"name": "torchvision:RandomVerticalFlip"}
    wrapped = normal("class-aware", of=of, probabilities=[0.0, 0.5, 1.0])
    assert in_loader({"augmentations": [wrapped]}, discover([])) == ["augmentation class-aware"]
    short = {"unit": "epochs", "amount": 2}

    def outcome(augmentations: list[dict[str, Any]], workers: int) -> dict[str, Any]:
        job = make_job(augmentations=augmentations, budget=short).to_json()
        job = Job.from_json({**job, "loader": {"mode": "auto", "workers": workers}})
        return run_trial(job, report=lambda _: None, stop=lambda: False)

    here, elsewhere, plain = outcome([wrapped], 0), outcome([wrapped], 2), outcome([], 0)
    assert [one["loader"]["mode"] for one in (here, elsewhere, plain)] == ["memory", "memory", "resident"]
    assert here["digests"] == elsewhere["digests"]
    assert here["digests"]["final_weights"] != plain["digests"]["final_weights"]


def test_an_error_within_is_the_inner_ones_and_is_found_though_the_first_step_does_nothing(
    make_job: Callable[..., Job], plugin: str
) -> None:
    job = make_job(augmentations=[wrapped_twice(component("tagged", strength=1.0))], plugins=(TOYS, plugin))
    with pytest.raises(PluginError, match=r"augmentation tagged.*RuntimeError: at 0\.9"):
        check_arm(job)


@pytest.mark.parametrize(
    ("params", "passes"),
    [
        ({"share": 1.0}, 1.0),
        ({"share": 0.5}, 0.5),
        ({"share": 1.0, "steps": 5}, 5.0),
    ],
)
def test_adversarial_passes_are_counted(
    make_job: Callable[..., Job], params: dict[str, Any], passes: float
) -> None:
    """By hand for one hidden layer of 8 on 64 pixels and 3 classes, in multiply-adds a sample.

    A training pass: forward 64 * 8 + 8 * 3, backward to the weights as many, and to the hidden layer 8 * 3.
    A pass of the attack: forward, and backward to the hidden layer and to the pixels, as many.
    """
    hidden, last, batch = 64 * 8, 8 * 3, 8
    settings = {"epsilon": 8.0, "steps": 1, "step_size": None, "random_start": False, **params}
    _, plain = first_step(open_run(make_job(), Owners()), 0)
    _, attacked = first_step(open_run(make_job(tricks=[component("adversarial", **settings)]), Owners()), 0)
    assert plain == 2 * batch * (2 * (hidden + last) + last)
    assert attacked - plain == 2 * batch * passes * 2 * (hidden + last)
