"""What a suite file may set beside components: names, types, limits and defaults, in one place."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Interval, Len

SHAPES: dict[str, str] = {
    "dataset": "component",
    "sampler": "component",
    "backbone": "component",
    "augmentations": "components",
    "optimizer": "split",
    "schedule": "component",
    "tricks": "components",
    "metrics": "components",
    "batch_size": "value",
    "numerics": "table",
    "evaluation": "table",
    "teacher": "parent",
    "init": "parent",
}
"""The keys of a recipe, in the order of the normal form, and how each is written: one component, a list of
components, an optimizer (one, or a list that splits the parameters), a value, a table, another trial's model."""

KIND_OF: dict[str, str] = {
    "dataset": "dataset",
    "sampler": "sampler",
    "backbone": "backbone",
    "augmentations": "augmentation",
    "optimizer": "optimizer",
    "schedule": "schedule",
    "tricks": "trick",
    "metrics": "metric",
}
"""The kind of component that a recipe's key holds."""

DEFAULTS: dict[str, object] = {
    "sampler": "shuffle",
    "augmentations": [],
    "schedule": "constant",
    "tricks": [],
    "metrics": [],
}
"""Recipe keys that may be left out, and what then stands there."""

HELD_EQUAL = ("dataset", "sampler", "batch_size", "budget", "numerics", "evaluation")
"""What PROTOCOL.md holds equal across arms: data, order, budget, evaluation, numerics. An arm that differs in one
has to say so in `varies`."""

RECIPE_KEYS = tuple(SHAPES)
ARM_KEYS = (*RECIPE_KEYS, "budget", "extends", "varies", "compared", "tuning")

ROLES = tuple(key for key, shape in SHAPES.items() if shape == "parent")
"""The keys that make a trial need another's model; in the normal form they stand under `parents`."""

TABLES = ("budget", "recipe", "arms", "grid", "timing", "loader", "measure", "claim", "trackers", "tuning")
"""The tables of the file."""

LEAST_ALPHA = 1e-6
"""The smallest level of significance: of a smaller one no test here tells. Random signs number 100,000, and what is
beyond five standard deviations of a t is a matter of the assumptions, not of the data."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def identifier_problem(name: str) -> str:
    """Return why `name` cannot name a suite or an arm, or an empty string. Names become folders and files."""
    if _IDENTIFIER.fullmatch(name):
        return ""
    return "must be a name of 1 to 64 letters, digits, '.', '_' and '-' that begins with a letter or digit"


@dataclass(frozen=True)
class SuiteSettings:
    """The top of the file."""

    schema: Literal[1]
    name: str
    baseline: str
    replicates: Annotated[int, Interval(ge=1, le=100_000)] = 10
    seed: Annotated[int, Interval(ge=0, lt=2**63)] = 0
    plugins: tuple[str, ...] = ()
    alpha: Annotated[float, Interval(ge=LEAST_ALPHA, le=0.5)] = 0.05
    margin: Annotated[float, Interval(gt=0, le=100)] | None = None
    equal_margin: Annotated[float, Interval(gt=0, le=100)] | None = None
    verdicts: bool = True
    non_inferiority: Annotated[float, Interval(gt=0, le=100)] | None = None
    aa: bool = False
    together: Annotated[int, Interval(ge=1, le=256)] = 1


@dataclass(frozen=True)
class TimingSettings:
    """`[timing]`: how many rounds the timing pass has, none for no pass, and its steady seconds at the least."""

    rounds: Annotated[int, Interval(ge=0, le=1000)] = 3
    seconds: Annotated[float, Interval(gt=0, le=3600)] = 1.0


@dataclass(frozen=True)
class LoaderSettings:
    """`[loader]`: how samples reach the device. No bit of a result depends on it; speed does, so all arms share it."""

    mode: Literal["auto", "resident", "memory", "stream"] = "auto"
    workers: Annotated[int, Interval(ge=0, le=256)] = 0


@dataclass(frozen=True)
class MeasureSettings:
    """`[measure]`: what costs time or room, and is measured on request."""

    target_top1: Annotated[float, Interval(gt=0, le=100)] | None = None
    gradient_norms: bool = False
    latency: bool = True


@dataclass(frozen=True)
class TuningSettings:
    """`[tuning]`: trials of each arm's search, its own setting the first; what is searched stands in `space`."""

    trials: Annotated[int, Interval(ge=2, le=1000)]
    method: Literal["quasi-random", "tpe"] = "quasi-random"
    replicates: Annotated[int, Interval(ge=1, le=1000)] = 1
    metric: Literal["top1"] = "top1"


@dataclass(frozen=True)
class BudgetSettings:
    """`[budget]`: one of the four.

    The bounds are years of training on any machine: a slip of the pen is told of when the file is read, not waited for.
    `seconds` are of training: each trial measures its own step and takes as many as go into them (docs/dataflow.md).
    """

    epochs: Annotated[float, Interval(gt=0, le=1_000_000)] | None = None
    steps: Annotated[int, Interval(ge=1, le=1_000_000_000)] | None = None
    samples: Annotated[int, Interval(ge=1, le=1_000_000_000_000)] | None = None
    seconds: Annotated[float, Interval(gt=0, le=100_000_000)] | None = None


@dataclass(frozen=True)
class NumericsSettings:
    """`numerics`."""

    precision: Literal["fp32", "tf32", "bf16", "fp16", "pure-bf16", "pure-fp16"] = "fp32"
    channels_last: bool = False
    compile: bool | Literal["reduce-overhead", "max-autotune"] = False
    threads: Annotated[int, Interval(ge=1, le=1024)] = 1
    deterministic: bool = False


@dataclass(frozen=True)
class EvaluationSettings:
    """`evaluation`."""

    batch_size: Annotated[int, Ge(1)] = 500


@dataclass(frozen=True)
class ValueSettings:
    """The keys of a recipe that are plain values."""

    batch_size: Annotated[int, Ge(1)] = 128


@dataclass(frozen=True)
class ArmSettings:
    """The keys of an arm that are no part of its recipe."""

    extends: str | None = None
    varies: Annotated[tuple[str, ...], Len(1)] | None = None
    compared: bool = True


@dataclass(frozen=True)
class ParentSettings:
    """`teacher` and `init`: one of the two."""

    arm: str | None = None
    file: str | None = None


TOP_TABLES: dict[str, type] = {"timing": TimingSettings, "loader": LoaderSettings, "measure": MeasureSettings}
"""The tables of the file that hold settings of the suite."""

TABLE_CLASSES: dict[str, type] = {"numerics": NumericsSettings, "evaluation": EvaluationSettings}
"""The settings of a recipe that are tables."""
