import copy
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import SuiteError
from harness.suite.load import Suite, load

GOOD: dict[str, Any] = {
    "schema": 1,
    "name": "toy",
    "baseline": "plain",
    "plugins": [],
    "budget": {"epochs": 2},
    "timing": {"rounds": 1},
    "recipe": {
        "dataset": {"name": "subset", "of": {"name": "digits"}, "fraction": 0.5, "validation": 0.1},
        "sampler": "shuffle",
        "backbone": {"name": "simple-cnn", "width": 8},
        "augmentations": ["translate"],
        "optimizer": [
            {"name": "sgd", "lr": 0.1, "parameters": "rest"},
            {"name": "adam", "lr": 0.1, "parameters": "*.bias"},
        ],
        "schedule": {"name": "cosine", "warmup": 0.1},
        "numerics": {"threads": 1},
    },
    "arms": {
        "plain": {"optimizer": {"name": "sgd", "lr": 0.1}},
        "mix": {
            "extends": "plain",
            "augmentations": ["...", {"name": "mixup", "alpha": 0.2}],
            "tricks": ["sam"],
        },
        "big": {"batch_size": 64, "varies": ["batch_size"]},
    },
}

junk = st.recursive(
    st.sampled_from(
        [
            "",
            "...",
            "sam",
            "mixup",
            "plain",
            "big",
            "timm:",
            "timm:x",
            "a\x00b",
            "\x1b[0m",
            "../..",
            "x" * 300,
        ]
    )
    | st.sampled_from([0, 1, -1, 2**63, 10**400, True, False, 0.0, 1.5, float("inf"), float("nan")]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["name", "lr", "of", "epochs", "extends", "", "\n"]), inner, max_size=2
        )
    ),
    max_leaves=3,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, one in keys for inner in places(one, (*path, key)))]


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def written(document: dict[str, Any]) -> str:
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())


def loaded(text: str) -> Suite | SuiteError:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "suite.toml"
        path.write_text(text)
        try:
            return load(path)
        except SuiteError as error:
            return error


def test_the_document_itself_is_good() -> None:
    assert tomllib.loads(written(GOOD)) == GOOD
    assert isinstance(loaded(written(GOOD)), Suite)


@settings(max_examples=150)
@given(st.sampled_from(places(GOOD)[1:]), junk, st.booleans())
def test_whatever_stands_somewhere_is_taken_or_told_with_its_line(
    path: tuple[Any, ...], value: Any, drop: bool
) -> None:
    document = copy.deepcopy(GOOD)
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    result = loaded(written(document))
    if isinstance(result, SuiteError):
        assert result.problems
        for problem in result.problems:
            assert problem.path.isprintable() and problem.message.isprintable()
            assert problem.line > 0 or drop or path[0] not in problem.path
    else:
        assert result.arms
