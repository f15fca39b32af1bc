"""A component's class: imported from its target, and held to what its kind asks."""

import dataclasses
import difflib
import importlib
import inspect
from collections.abc import Mapping

from harness.contract import KINDS, Stage
from harness.errors import PluginError, nearest
from harness.registry.entry import Entry
from harness.registry.messages import listed, reason
from harness.registry.parameters import CORE_KEYS, nested_kinds

_REQUIRED_METHODS = {
    "dataset": "prepare",
    "sampler": "order",
    "augmentation": "bind",
    "backbone": "build",
    "optimizer": "build",
    "schedule": "rate",
    "metric": "compute",
    "tracker": "begin",
}
_STAGES = {
    "augmentation": (Stage.GEOMETRY, Stage.CONTENT, Stage.MIX),
    "trick": tuple(Stage),
}
_TAGS = ("provides", "conflicts", "requires")
_MISSPELT = 0.8  # "bnd" and "modle" are as near to "bind" and "model"; "blend" is not


def load_class(entry: Entry) -> type:
    """Import the class of a component.

    Raises:
        PluginError: Where it cannot be imported, with the reason, or is unfit (see `check_class`).
    """
    if isinstance(entry.target, type):
        return entry.target
    module, _, name = entry.target.partition(":")
    label = f'{entry.kind} "{entry.full_name}"'
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{label} cannot be loaded from {module}: {reason(error)}") from error
    if found is None:
        raise PluginError(
            f"{label}: {module} has no class {name}{nearest(name, dir(importlib.import_module(module)))}"
        )
    if not isinstance(found, type):
        raise PluginError(f"{label}: {module}.{name} is not a class")
    check_class(found, entry.kind, entry.name)
    return found


def check_class(cls: type, kind: str, name: str) -> None:
    """Hold a class to its kind's contract, as far as can be seen without building it.

    Raises:
        PluginError: With what is wrong and how to mend it.
    """
    base = KINDS[kind]
    label = f'{kind} "{name}" ({cls.__module__}.{cls.__qualname__})'
    if not issubclass(cls, base):
        raise PluginError(f"{label} does not derive from harness.contract.{base.__name__}")
    options = vars(cls).get("__dataclass_params__")
    if options is None:
        raise PluginError(f"{label} is not a dataclass: decorate it with @dataclass(frozen=True)")
    if not options.frozen:
        raise PluginError(f"{label} is not frozen: decorate it with @dataclass(frozen=True)")
    for problem in (_fields(cls, kind, name), _stage(cls, kind), _class_variables(cls), _methods(cls, kind)):
        if problem:
            raise PluginError(f"{label}: {problem}")


def _fields(cls: type, kind: str, name: str) -> str:
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in ("name", *CORE_KEYS.get(kind, ())):
        if key in fields:
            return (
                f'the field "{key}" is taken: in a suite, the harness itself reads that key of every {kind}'
            )
    if kind == "optimizer" and "lr" not in fields:
        return 'an optimizer needs a field "lr", the base rate that the schedule scales'
    if name.endswith(":") and "model" not in fields:
        return 'a family needs a field "model", which holds what a suite writes after the colon'
    for field, nested in nested_kinds(cls).items():
        default = fields[field].default
        if (
            default not in (None, dataclasses.MISSING)
            or fields[field].default_factory is not dataclasses.MISSING
        ):
            return f'the field "{field}" holds a {nested}, so that None is its only default'
    return ""


def _stage(cls: type, kind: str) -> str:
    allowed = _STAGES.get(kind)
    stage = getattr(cls, "stage", None)
    if allowed is None or (isinstance(stage, Stage) and stage in allowed):
        return ""
    return f"its stage must be one of {listed(f'Stage.{s.name}' for s in allowed)}, not {stage!r}"


def _class_variables(cls: type) -> str:
    fields = {field.name for field in dataclasses.fields(cls)}
    for tag in _TAGS:
        value: object = getattr(cls, tag, frozenset())
        if not isinstance(value, frozenset | set) or not all(isinstance(word, str) for word in value):
            return f'"{tag}" must be a frozenset of words, not {value!r}'
    identity = getattr(cls, "identity", None)
    if identity is not None and not isinstance(identity, Mapping):
        return f'"identity" must be a mapping of parameters or None, not {identity!r}'
    for key in identity or ():
        if key not in fields:
            return f'"identity" names "{key}", which is no parameter{nearest(key, fields)}'
    return ""


def _methods(cls: type, kind: str) -> str:
    base = KINDS[kind]
    contract = [name for name in vars(base) if not name.startswith("_")]
    fields = {field.name for field in dataclasses.fields(cls)}
    for name, value in vars(cls).items():
        if name.startswith("_") or name in fields:
            continue
        if name not in contract:
            close = difflib.get_close_matches(name, contract, n=1, cutoff=_MISSPELT)
            if close:
                return (
                    f'"{name}" is not part of the contract; did you mean "{close[0]}"? '
                    "(a name of your own may begin with an underscore)"
                )
        elif inspect.isfunction(value) and inspect.isfunction(getattr(base, name)):
            wanted = inspect.signature(getattr(base, name))
            try:
                inspect.signature(value).bind(*wanted.parameters)
            except TypeError:
                takes = ", ".join(inspect.signature(value).parameters)
                return f"{name}({takes}) cannot be called as {name}({', '.join(wanted.parameters)})"
    needed = _REQUIRED_METHODS.get(kind)
    if needed and getattr(cls, needed) is getattr(base, needed):
        return f'it does not define "{needed}"'
    return ""
