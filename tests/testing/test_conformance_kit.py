"""The conformance kit finds what it is for: each check is shown a component that breaks it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.contract import Trick
from harness.engine.keys import Keys
from harness.registry.discovery import discover
from harness.registry.registry import Registry
from harness.testing.conformance import NonConformance, conform
from harness.testing.documentation import documentation_gaps
from harness.testing.jobs import TOYS
from harness.testing.ranges import beyond_bounds, refused_values, unbounded_numbers

HEAD = """
from dataclasses import dataclass
from typing import Annotated
from annotated_types import Gt
from harness.contract import Slots, Stage, Trick, hookimpl

@dataclass(frozen=True)
class Planted(Trick):
    stage = Stage.OBJECTIVE
    strength: Annotated[float, Gt(0)] = 0.5
"""
TAIL = """
@hookimpl
def harness_register(registry):
    registry.add("trick", "planted", Planted, summary="a fault")
"""
SHRINK = """
    def bind(self, ctx):
        def shrink(gradients):
            for gradient in gradients:
                gradient.mul_(self.strength)
        return Slots(gradients=shrink)
"""

FAULTS = {
    "a resumed trial equals a straight one: digests, curves differ": """
    def bind(self, ctx):
        import torch
        count = torch.zeros(())
        def shrink(gradients):
            count.add_(1)
            for gradient in gradients:
                gradient.mul_(self.strength / count)
        return Slots(gradients=shrink)
""",
    "a resumed trial equals a straight one: observables differ": """
    def bind(self, ctx):
        calls = []
        def shrink(gradients):
            calls.append(1)
            for gradient in gradients:
                gradient.mul_(self.strength)
        return Slots(gradients=shrink, observe=lambda: float(len(calls)))
""",
    "the declared identity changes no bit": """
    identity = {"strength": 0.25}
"""
    + SHRINK,
    # The engine looks at the first step: these begin with the second.
    "wrote into the batch's image": """
    def bind(self, ctx):
        def darken(batch):
            if ctx.step:
                batch.image.mul_(self.strength)
            return batch
        return Slots(batch=darken)
""",
    "wrote into the batch's ids": """
    def bind(self, ctx):
        def wrap(objective):
            def wrong(batch):
                outcome = objective(batch)
                batch.ids.zero_()
                return outcome
            return wrong
        return Slots(objective=wrap)
""",
    "drew from torch's global generator in its batch slot": """
    def bind(self, ctx):
        import torch
        def noise(batch):
            return batch.with_image(batch.image + torch.rand(()) if ctx.step else batch.image)
        return Slots(batch=noise)
""",
    "global state is left alone: the global state of Python's random": """
    def bind(self, ctx):
        import random
        def shrink(gradients):
            for gradient in gradients:
                gradient.mul_(random.random())
        return Slots(gradients=shrink)
""",
    "the same seed gives the same weights": """
    def bind(self, ctx):
        import secrets
        factor = 0.5 + secrets.randbelow(10**6) / 10**7
        def shrink(gradients):
            for gradient in gradients:
                gradient.mul_(factor)
        return Slots(gradients=shrink)
""",
    "another seed gives others": """
    def bind(self, ctx):
        import torch
        def still(gradients):
            with torch.no_grad():
                for tensor in (*ctx.model.parameters(), *ctx.model.buffers()):
                    tensor.zero_()
            for gradient in gradients:
                gradient.zero_()
        return Slots(gradients=still)
""",
    "it acts": """
    def bind(self, ctx):
        return Slots()
""",
    "micro-batches 1 and 4 agree": """
    def bind(self, ctx):
        def wrap(objective):
            def summed(batch):
                loss, logits = objective(batch)
                return loss * len(batch) / 16, logits
            return summed
        return Slots(objective=wrap, observe=lambda: 1.0)
""",
    "it trains, with a finite loss": """
    def bind(self, ctx):
        def wrap(objective):
            def wrong(batch):
                loss, logits = objective(batch)
                return loss / (0.0 if ctx.step == 7 else 1.0), logits
            return wrong
        return Slots(objective=wrap)
""",
    "it works beside toy-ascent": """
    def bind(self, ctx):
        seen = set()
        def wrap(objective):
            def once(batch):
                key = (ctx.step, tuple(batch.ids.tolist()))
                if key in seen:
                    raise RuntimeError("twice in a step")
                seen.add(key)
                loss, logits = objective(batch)
                return self.strength * loss, logits
            return once
        return Slots(objective=wrap)
""",
}


def plant(body: str, folder: Path) -> str:
    file = folder / "planted.py"
    file.write_text(HEAD + body + TAIL)
    (folder / "work").mkdir()
    return str(file)


@pytest.mark.parametrize("found", FAULTS)
def test_a_planted_fault_is_found_by_its_check(found: str, tmp_path: Path) -> None:
    file = plant(FAULTS[found], tmp_path)
    with pytest.raises(NonConformance, match=found):
        conform("trick", "planted", {"strength": 0.9}, tmp_path / "work", plugins=[file])


def test_a_sound_component_passes_and_a_conflict_is_a_refusal_by_name(tmp_path: Path) -> None:
    conflicts = '\n    conflicts = frozenset({"micro-batches", "second-pass"})\n'
    file = plant(conflicts + SHRINK, tmp_path)
    Path(file).write_text(
        Path(file).read_text().replace("@hookimpl", "@dataclass(frozen=True)\nclass Other(Trick):\n"
        '    stage = Stage.ASCENT\n    provides = frozenset({"second-pass"})\n\n@hookimpl')
        + '    registry.add("trick", "other", Other, summary="in conflict with it")\n'
    )  # fmt: skip
    made = conform(
        "trick",
        "planted",
        {"strength": 0.9},
        tmp_path / "work",
        plugins=[file],
        beside=[("trick", "other", {}), ("augmentation", "toy-noise", {})],
    )
    assert "it refuses micro-batches by a tag" in made
    assert "it is refused beside other, and the reason names it" in made
    assert "it works beside toy-noise" in made
    assert len(made) == len(set(made))


def test_draws_that_depend_on_who_drew_before_are_found(tmp_path: Path, monkeypatch: Any) -> None:
    """With a generator that has state instead of a key, a component that draws moves everybody's numbers."""
    runs: dict[int, tuple[Keys, list[str]]] = {}

    def stateful(keys: Keys, name: str, index: int = 0) -> np.random.Generator:
        if name == "initial weights":
            return np.random.default_rng(keys.seed)
        drawn = runs.setdefault(id(keys), (keys, []))[1]
        drawn.append(name)
        return np.random.default_rng([keys.seed, len(drawn)])

    monkeypatch.setattr(Keys, "generator", stateful)
    monkeypatch.setattr("harness.testing.trials.Trials._kept", {})
    with pytest.raises(NonConformance, match="moves no other component's draws"):
        conform("augmentation", "toy-noise", {"strength": 0.2}, tmp_path)


def test_a_value_beyond_each_bound_is_made() -> None:
    number = {"type": "number"}
    made = {
        "from": {**number, "minimum": 0.0},
        "above": {**number, "exclusiveMinimum": 0.0, "maximum": 1.0},
        "whole": {"type": "integer", "minimum": 1},
        "word": {"enum": ["reflect", "zeros"], "type": "string"},
        "optional": {"anyOf": [{**number, "exclusiveMaximum": 1.0}, {"type": "null"}]},
        "list": {"type": "array", "items": {**number, "minimum": 0.0}, "minItems": 2},
        "pair": {"type": "array", "prefixItems": [{**number, "maximum": 1.0}, number], "minItems": 2},
        "free": number,
    }
    assert {name: list(beyond_bounds(schema)) for name, schema in made.items()} == {
        "from": [-1.0],
        "above": [0.0, 2.0],
        "whole": [0],
        "word": ["no such word"],
        "optional": [1.0],
        "list": [[-1.0, -1.0], []],
        "pair": [[2.0, 2.0], []],
        "free": [],
    }
    assert unbounded_numbers({"properties": made}) == ["free"]


def test_a_value_that_is_taken_or_refused_without_its_name_is_told(monkeypatch: Any) -> None:
    registry = discover([Path(TOYS)])
    refused = list(refused_values("trick", "toy-penalty", {}, registry))
    assert {(one.name, one.value) for one in refused} >= {("weight", -1.0), ("no_such_parameter", 1)}
    assert all(one.is_named for one in refused)
    monkeypatch.setattr(Registry, "validate", lambda *_, **__: ({}, []))
    taken = list(refused_values("trick", "toy-penalty", {}, registry))
    assert [one.found for one in taken] == ["it was taken"] * len(refused)
    assert not any(one.is_named for one in taken)


@dataclass(frozen=True)
class Bare(Trick):
    """Do something.

    Attributes:
        strength: How much.
    """

    strength: float = 1.0
    beta: float = 1.0


@dataclass(frozen=True)
class Told(Trick):
    """Somebody 2019, equation 1.

    When not to use it: never.

    Attributes:
        first, second: Both.
        third: And that.
    """

    first: float = 1.0
    second: float = 1.0
    third: float = 1.0


def test_what_a_docstring_leaves_out_is_listed() -> None:
    gaps = documentation_gaps(Bare)
    assert len(gaps) == 3
    assert [word in gap for word, gap in zip(("reference", "when not", "beta"), gaps, strict=True)] == [
        True
    ] * 3
    assert documentation_gaps(Told) == []
    silent = dataclasses.make_dataclass("Silent", [("strength", float, 1.0)], bases=(Trick,), frozen=True)
    assert documentation_gaps(silent) == ["a docstring"]
