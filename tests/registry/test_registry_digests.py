from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.digests import digest_json
from harness.registry.discovery import discover
from harness.registry.source_digests import source_digest, text_digest

SOURCE = '''
"""Doc."""
import math
@decorate(1, b=[2.5, None, ...])
class A(B, metaclass=C):
    """Doc."""
    x: ClassVar[int] = 3
    """Attribute doc."""
    async def f(self, a, /, b=1, *c, d=2, **e) -> "T":
        """Doc."""
        return f"{a!r:>{b}} and {{b}} {c=}" + u"x" "y" if not a else (yield)
def g(n):
    match n:
        case [1, *_] | {"k": None}:
            return lambda: -1j ** 2
    try:
        with open(n) as h, i:
            del h[0:1:2, ...]
    except* ValueError as error:
        raise X from error
'''


def test_golden_value_holds_on_every_python() -> None:
    # Made by hand-running the walk on 3.11.7, 3.12.1 and 3.13.0: a change re-runs every trial of every user.
    assert text_digest(SOURCE) == "6d4dd3da1c5a0c5710614f0560f95c41"


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace('"""Doc."""', '"""Quite another text."""'),
        SOURCE.replace('    """Attribute doc."""\n', ""),
        SOURCE.replace("import math", "# why\n\n\nimport math  # more"),
        SOURCE.replace("    ", "  "),
        SOURCE.replace("(yield)", "(  (yield)  )"),
        SOURCE.replace("\n", "\r\n"),
        SOURCE.replace('u"x" "y"', '"xy"'),
        SOURCE.replace("x: ClassVar[int] = 3", "x: ClassVar[int] = 0x3"),
    ],
)
def test_what_means_the_same_has_the_same_digest(other: str) -> None:
    assert other != SOURCE
    assert text_digest(other) == text_digest(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-1j", "-2j"),
        ("** 2", "** 3"),
        ("-1j ** 2", "+1j ** 2"),
        ("not a", "a"),
        ("b=1", "b=True"),
        ("b=1", "b=1.0"),
        ("None, ...", "..., None"),
        ("a, /, b=1", "a, b=1"),
        ("!r", "!s"),
        ("0:1:2", "0:1"),
        ("{{b}}", "{b}"),
        ('"k": None', '"k": False'),
        ("async def", "def"),
        ("n):", "m):"),
        ("except*", "except"),
    ],
)
def test_what_means_something_else_has_another_digest(old: str, new: str) -> None:
    assert old in SOURCE
    assert text_digest(SOURCE.replace(old, new)) != text_digest(SOURCE)


def test_nesting_cannot_be_confused_with_sequence() -> None:
    assert text_digest("f(a, (b, c))") != text_digest("f((a, b), c)")
    assert text_digest("if a:\n  b\n  c") != text_digest("if a:\n  b\nc")
    assert text_digest("{**a, b: c}") != text_digest("{b: c, **a}")
    assert text_digest("def f(*, a, b=1): 0") != text_digest("def f(*, a=1, b): 0")


def test_a_long_sum_is_no_recursion_error() -> None:
    assert text_digest("x = " + "+".join(["1"] * 900)) != text_digest("x = " + "+".join(["1"] * 899))


@given(
    st.dictionaries(
        st.text(), st.integers(-(2**53), 2**53) | st.text() | st.lists(st.floats(allow_nan=False))
    )
)
def test_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    assert digest_json(value) == digest_json(dict(reversed(value.items())))


def test_json_digest_is_blake2b_of_canonical_json() -> None:
    import hashlib

    assert (
        digest_json({"b": [1, 2.5], "a": None})
        == hashlib.blake2b(b'{"a":null,"b":[1,2.5]}', digest_size=16).hexdigest()
    )


REGISTER = """
@hookimpl
def harness_register(registry):
    registry.add("trick", "toy", "{}.toy:Toy", summary="a toy")
"""
BODY = """
@dataclass(frozen=True)
class Toy(Trick):
    '''A toy.'''
    scale: float = {scale}
    stage: ClassVar[Stage] = Stage.GRADIENT
"""


def test_comment_in_a_plugin_file_keeps_the_digest_and_a_formula_moves_it(
    plugin_file: Callable[..., Path],
) -> None:
    def digest(body: str) -> str:
        registry = discover([plugin_file(body)], allow="none")
        return source_digest(registry.find("trick", "toy"))

    first = digest(BODY.format(scale=0.5))
    assert digest(BODY.format(scale=0.5).replace("A toy", "Still a toy") + "# why\n") == first
    assert digest(BODY.format(scale=0.6)) != first


def test_third_party_digest_covers_every_module_of_the_distribution(
    distribution: Callable[..., Path],
) -> None:
    register = REGISTER.format("stranger")
    modules = {
        "stranger/__init__.py": register,
        "stranger/toy.py": BODY.format(scale=1.0),
        "stranger/more.py": "x = 1\n",
    }
    site = distribution("stranger-tricks", modules, {"stranger": "stranger"})
    entry = discover(allow="stranger").find("trick", "stranger-tricks/toy")
    first = source_digest(entry)
    more = site / "stranger" / "more.py"
    text = more.read_text()
    more.write_text(text + "# a comment\n")
    assert source_digest(entry) == first
    more.write_text(text.replace("x = 1", "x = 2"))
    assert source_digest(entry) != first


def test_editable_distribution_is_covered_by_its_package(distribution: Callable[..., Path]) -> None:
    register = REGISTER.format("linked")
    site = distribution(
        "linked",
        {"linked/__init__.py": register, "linked/toy.py": BODY.format(scale=1.0)},
        {"linked": "linked"},
    )
    (site / "linked-1.0.dist-info" / "RECORD").write_text("__editable__.pth,,\n")
    entry = discover(allow="linked").find("trick", "linked/toy")
    first = source_digest(entry)
    (site / "linked" / "added.py").write_text("y = 1")
    assert source_digest(entry) != first


def test_first_party_digests_cover_own_modules_alone() -> None:
    registry = discover()
    digests = {
        (e.kind, e.name): source_digest(e) for e in registry.entries() if e.distribution == "harness-bench"
    }
    assert len(set(digests.values())) == len(digests) > 10
