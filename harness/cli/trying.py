"""`harness try`: a plugin file against the baseline on the digits, in half a minute."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.cli.listing import installed
from harness.cli.output import complain
from harness.cli.running import Settings, execute, make_ready
from harness.errors import PluginError, Problem, SuiteError
from harness.record.store import Store
from harness.registry.entry import Entry
from harness.registry.messages import join
from harness.registry.registry import Registry

_SUITE = """schema = 1
name = "try"
replicates = 1
baseline = "baseline"
verdicts = false
plugins = [{file}]

[budget]
epochs = 24

[timing]
rounds = 1
seconds = 0.5

[recipe]
dataset = {{ name = "subset", of = "digits", fraction = 0.25 }}
backbone = {{ name = "simple-cnn", width = 8 }}
optimizer = {{ name = "sgd", lr = 0.1, momentum = 0.9, weight_decay = 5e-4 }}
schedule = {{ name = "cosine", warmup = 0.05 }}
batch_size = 32

[arms.baseline]
"""

_KEYS = {
    "trick": "tricks = [{}]",
    "augmentation": "augmentations = [{}]",
    "optimizer": "optimizer = {}",
    "schedule": "schedule = {}",
    "backbone": "backbone = {}",
    "sampler": "sampler = {}",
    "metric": "metrics = [{}]",
}
_RATE = 0.01
"""Rate of an optimizer whose class has no default for `lr`."""


def try_file(file: Path, device: str, timeout: float) -> int:
    """Run what a plugin file offers once against the baseline, and show the board.

    Raises:
        PluginError: Where the file cannot be loaded, or offers nothing that can be tried as it is.
    """
    file = file.resolve()
    if file.is_dir():
        raise PluginError(f"{file} is a folder; name a plugin file in it")
    if not file.is_file():
        raise PluginError(f"there is no file {file}")
    registry = installed([file])
    for entry in registry.entries("plugin"):
        if entry.source == str(file):
            raise PluginError(f"{file.name} cannot be loaded:\n{entry.error or entry.summary}")
    entries = [entry for entry in registry.entries() if entry.source == str(file)]
    arms = list(_arms(registry, entries))
    if not arms:
        kinds = ", ".join(_KEYS)
        raise PluginError(f"{file.name} offers nothing that can be tried by its defaults (kinds: {kinds})")
    with tempfile.TemporaryDirectory(prefix="harness-try-") as folder:
        suite = Path(folder) / "try.toml"
        suite.write_text(_SUITE.format(file=json.dumps(str(file))) + "".join(arms))
        settings = Settings(Path(folder), None, None, None, 0, device, False, timeout)
        try:
            ready = make_ready(suite, settings)
        except SuiteError as error:  # the user has no such suite
            told = [f"{file.name}: {_in_the_plugin(problem, entries)}" for problem in error.problems]
            raise PluginError("\n".join(told)) from error
        return execute(ready, Store(Path(folder) / "try"), settings, "harness try", is_kept=False)


def _in_the_plugin(problem: Problem, entries: list[Entry]) -> str:
    """Return a problem of the suite that was made up here as one of the component that it is about."""
    for entry in entries:
        arm = join("arms", _arm_name(entry))
        if problem.path == arm or problem.path.startswith(f"{arm}."):
            key = _KEYS[entry.kind].partition(" ")[0]
            within = (
                problem.path.removeprefix(arm).removeprefix(f".{key}").removeprefix("[0]").removeprefix(".")
            )
            return f"{entry.kind} {entry.name}: {f'{within}: ' if within else ''}{problem.message}"
    return f"{problem.path}: {problem.message}"


def _arm_name(entry: Entry) -> str:
    return f"{entry.kind}-{entry.name}"


def _arms(registry: Registry, entries: list[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.kind not in _KEYS:
            complain(f"{entry.kind} {entry.name}: not tried; name it in a suite")
            continue
        missing = set(registry.parameters_schema(entry.kind, entry).get("required", []))
        if entry.is_family or missing - ({"lr"} if entry.kind == "optimizer" else set()):
            wanted = ", ".join(sorted(missing)) or "a model's name"
            complain(
                f"{entry.kind} {entry.name}: not tried, it has no default for {wanted}; name it in a suite"
            )
            continue
        rate = f", lr = {_RATE}" if "lr" in missing else ""
        component = f"{{ name = {json.dumps(entry.name)}{rate} }}"
        # What needs another trial's model gets the baseline's.
        roles = sorted(getattr(registry.load(entry), "parents", ()))
        parents = "".join(f'{role} = {{ arm = "baseline" }}\n' for role in roles)
        lines = f"{_KEYS[entry.kind].format(component)}\n{parents}"
        yield f"\n[arms.{json.dumps(_arm_name(entry))}]\n{lines}"
