"""A frozen dataclass's fields as parameters: checked strictly, every error at once, in plain English.

One pydantic model is made for each class, and values go through JSON: a `TypeAdapter` over a standard dataclass
ignores unknown keys and takes "10" and true for 10. Pydantic is imported when the first value is checked.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import annotated_types
import orjson

from harness.contract import KINDS
from harness.errors import PluginError, Problem
from harness.registry.messages import explain, found, join, unfit, unknown_key

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclasses.dataclass(frozen=True)
class _DatasetKeys:
    validation: Annotated[float, annotated_types.Interval(ge=0, lt=1)] = 0.1


_Share = Annotated[float, annotated_types.Interval(ge=0, le=1)]
_Spread = Annotated[float, annotated_types.Interval(ge=1e-4, le=1)]


@dataclasses.dataclass(frozen=True)
class _Normalization:
    """Mean and standard deviation of each channel, in shares of full scale, as a suite gives them."""

    mean: Annotated[list[_Share], annotated_types.Len(1, 3)]
    std: Annotated[list[_Spread], annotated_types.Len(1, 3)]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {len(self.mean)} and std {len(self.std)} values; each channel has one of both"
            )


@dataclasses.dataclass(frozen=True)
class _OptimizerKeys:
    parameters: Annotated[str, annotated_types.Len(1, 200)] = "all"


@dataclasses.dataclass(frozen=True)
class _ScheduleKeys:
    warmup: Annotated[float, annotated_types.Interval(ge=0, lt=1)] = 0.0


CORE_CLASSES: dict[str, type] = {
    "dataset": _DatasetKeys,
    "optimizer": _OptimizerKeys,
    "schedule": _ScheduleKeys,
}
"""By kind, the keys that the core reads itself, beside a component's own parameters."""

CORE_TABLES: dict[str, dict[str, type]] = {"dataset": {"normalization": _Normalization}}
"""By kind, the keys beside those that hold a table; in the normal form only where a suite gives them."""

CORE_KEYS: dict[str, tuple[str, ...]] = {
    kind: (*(field.name for field in dataclasses.fields(cls)), *CORE_TABLES.get(kind, ()))
    for kind, cls in CORE_CLASSES.items()
}

_PREFIX = "field_"  # pydantic's models have attributes ("copy", "json") that a parameter's name would hide


@functools.lru_cache(maxsize=1024)
def parameter_names(cls: type) -> tuple[str, ...]:
    """Return the names of a dataclass's parameters, in their order."""
    return tuple(field.name for field in dataclasses.fields(cls) if field.init)


@functools.lru_cache(maxsize=1024)
def nested_kinds(cls: type) -> Mapping[str, str]:
    """Return, for every field that holds a component (`of: Dataset`, `of: Dataset | None`), the kind it holds.

    Raises:
        PluginError: Where an annotation cannot be resolved.
    """
    hints = _hints(cls)
    kinds = {name: _kind_of(hints[name]) for name in parameter_names(cls)}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def validate_table(
    cls: type, table: Mapping[str, Any], path: str, *, also: tuple[str, ...] = ()
) -> tuple[dict[str, Any], list[Problem]]:
    """Check a table against a dataclass's fields, leaving out those that hold components.

    Args:
        cls: The dataclass.
        table: The parameters as TOML gave them.
        path: The key path of the table, for problems.
        also: Names that the message on an unknown key lists as allowed as well.

    Returns:
        The parameters as JSON values with every default filled in, empty where there are problems; and the problems.
    """
    nested = nested_kinds(cls)
    names = [name for name in parameter_names(cls) if name not in nested]
    allowed = [*also, *parameter_names(cls)]
    problems = [
        Problem(join(path, key), unknown_key(key, sorted(set(allowed))))
        for key in table
        if key not in allowed
    ]
    known = {key: table[key] for key in names if key in table}
    bad = unfit(known, path)
    if bad:
        return {}, problems + [Problem(*one) for one in bad]
    import pydantic

    try:
        checked = _model(cls).model_validate_json(orjson.dumps(known))
    except pydantic.ValidationError as error:
        return {}, problems + _problems(error, known, path)
    problems += [
        Problem(join(path, key), f"must be {getattr(checked, _PREFIX + key)!r}, not {found(value)}")
        for key, value in known.items()
        if _is_other_kind(value, getattr(checked, _PREFIX + key))
    ]
    return ({} if problems else checked.model_dump(mode="json", by_alias=True)), problems


def _is_other_kind(given: object, taken: object) -> bool:
    """Return whether a literal was taken for one that it equals alone: true and 1.0 are equal to 1."""
    return type(taken) in (int, bool) and type(given) is not type(taken)


def validate_core(kind: str, given: Mapping[str, Any], path: str) -> tuple[dict[str, Any], list[Problem]]:
    """Check the keys that the core reads itself; return them with every default filled in, and the problems.

    Args:
        kind: The component's kind.
        given: Its table as TOML gave it; other keys than the core's are left alone.
        path: The key path of the table.
    """
    tables = CORE_TABLES.get(kind, {})
    plain = {key: given[key] for key in CORE_KEYS[kind] if key in given and key not in tables}
    core, problems = validate_table(CORE_CLASSES[kind], plain, path)
    for key, cls in tables.items():
        if key not in given:
            continue
        place = join(path, key)
        if not isinstance(given[key], Mapping):
            allowed = " and ".join(parameter_names(cls))
            problems.append(Problem(place, f"must be a table with {allowed}, not {found(given[key])}"))
            continue
        core[key], bad = validate_table(cls, given[key], place)
        if not bad:
            try:
                cls(**core[key])
            except ValueError as error:
                bad = [Problem(place, str(error))]
        problems += bad
    return core, problems


def core_schema(kind: str) -> dict[str, Any]:
    """Return, by key, the JSON schema of what the core reads itself of a kind of component."""
    properties: dict[str, Any] = json_schema(CORE_CLASSES[kind])["properties"]
    for key, cls in CORE_TABLES.get(kind, {}).items():
        # Never "required": an arm may inherit one of its keys.
        properties[key] = {name: said for name, said in json_schema(cls).items() if name != "required"}
    return properties


def typed_values(cls: type, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked parameters as the types that the fields are annotated with (JSON's lists become tuples)."""
    nested = nested_kinds(cls)
    plain = {key: value for key, value in params.items() if key not in nested}
    checked = _model(cls).model_validate_json(orjson.dumps(plain))
    return {name: getattr(checked, _PREFIX + name) for name in parameter_names(cls) if name not in nested}


def json_schema(cls: type, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """Return the JSON schema of a dataclass's parameters, without those that hold components."""
    schema = _model(cls).model_json_schema(by_alias=True, ref_template=ref_template)
    schema.pop("title", None)
    for one in schema.get("properties", {}).values():
        one.pop("title", None)
    return {"type": "object", "properties": {}, **schema}


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, AttributeError, TypeError) as error:
        raise PluginError(
            f"{cls.__module__}.{cls.__qualname__}: an annotation cannot be resolved ({error}); what fields are "
            "annotated with has to be imported outside TYPE_CHECKING"
        ) from error


def _kind_of(annotation: Any) -> str | None:
    if typing.get_origin(annotation) is Annotated:
        return _kind_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = {_kind_of(part) for part in typing.get_args(annotation) if part is not type(None)}
        return kinds.pop() if len(kinds) == 1 else None
    return next((kind for kind, base in KINDS.items() if annotation is base), None)


@functools.lru_cache(maxsize=1024)
def _model(cls: type) -> type[BaseModel]:
    import pydantic

    hints, nested = _hints(cls), nested_kinds(cls)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if not field.init or field.name in nested:
            continue
        default: Any = ...
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        fields[_PREFIX + field.name] = (hints[field.name], pydantic.Field(default, alias=field.name))
    config = pydantic.ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )
    try:
        model: type[BaseModel] = pydantic.create_model(cls.__name__, __config__=config, **fields)
    except (pydantic.errors.PydanticUserError, TypeError, NameError) as error:
        raise PluginError(f"{cls.__module__}.{cls.__qualname__}: unfit for parameters: {error}") from error
    return model


def _problems(error: Any, given: Mapping[str, Any], path: str) -> list[Problem]:
    """Return one problem for each value: pydantic tells each branch of a union apart."""
    messages: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        field, *inner = detail["loc"]
        message = explain(detail)
        if detail["type"] != "missing" and field not in given:
            # Of what was given pydantic names the alias, which is the parameter; of a default the model's own field.
            field = field.removeprefix(_PREFIX)
            message = f"the plugin's own default is wrong: {message}"
        where = join(path, field)
        for index in inner:
            where = join(where, index) if isinstance(index, int) else where
        messages.setdefault(where, []).append(message)
    return [Problem(where, _joined(list(dict.fromkeys(said)))) for where, said in messages.items()]


def _joined(messages: list[str]) -> str:
    if len(messages) == 1:
        return messages[0]
    # "must be a number, not true" and "must be text, not true" become one sentence.
    starts = [message.rpartition(", not ")[0] or message for message in messages]
    end = messages[-1].rpartition(", not ")
    return " or ".join([starts[0], *(start.removeprefix("must be ") for start in starts[1:])]) + "".join(
        end[1:] if end[1] else ()
    )
