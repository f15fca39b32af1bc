import tomllib

from hypothesis import given
from hypothesis import strategies as st

from harness.suite.lines import locate, nearest_place

TEXT = '''\
# [no.table]
top = 1
"quo.ted" = "a = 1 # [x]"
many = """
[no] = 1
"""
[a . "b c"]
x = { y = [1, { z = 'q' }], w = 2 }
list = [
  "one", # ], [
  # no = 1
  { k = 1 },
]
d.e.f = 3
[[t]]
n = 1
[t.u]
m = 1
[[t]]
n = 2
'''


def test_places_of_every_kind_of_key() -> None:
    places = locate(TEXT)
    assert places == {
        "top": (2, 1), "quo.ted": (3, 1), "many": (4, 1), 'a."b c"': (7, 1), 'a."b c".x': (8, 1),
        'a."b c".x.y': (8, 7), 'a."b c".x.y[0]': (8, 12), 'a."b c".x.y[1]': (8, 15), 'a."b c".x.y[1].z': (8, 17),
        'a."b c".x.w': (8, 29), 'a."b c".list': (9, 1), 'a."b c".list[0]': (10, 3), 'a."b c".list[1]': (12, 3),
        'a."b c".list[1].k': (12, 5), 'a."b c".d': (14, 1), 'a."b c".d.e': (14, 1), 'a."b c".d.e.f': (14, 1),
        "t": (15, 1), "t[0]": (15, 1), "t[0].n": (16, 1), "t[0].u": (17, 1), "t[0].u.m": (18, 1), "t[1]": (19, 1),
        "t[1].n": (20, 1),
    }  # fmt: skip


def test_what_is_not_there_has_the_place_of_what_it_would_stand_in() -> None:
    places = locate(TEXT)
    assert nearest_place(places, 'a."b c".x.y[1].missing[3]."q r"') == (8, 15)
    assert nearest_place(places, "nowhere.at[0].all") == (0, 0)
    assert nearest_place(places, "") == (0, 0)


@given(st.text(alphabet="ab=[]{}\"'#.,\n\\ 1", max_size=40))
def test_no_text_is_too_strange(text: str) -> None:
    places = locate(text)
    lines = text.split("\n")
    assert all(
        1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1
        for line, column in places.values()
    )


_values = st.recursive(
    st.integers() | st.text(alphabet="a[]{}#=\"' ,", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


def _toml(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", \n # c\n".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _paths(value: object, path: str) -> set[str]:
    inner = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    joined = {(f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}"): one for key, one in inner}
    return {path}.union(*(_paths(one, at) for at, one in joined.items()))


@given(st.dictionaries(st.sampled_from(["k1", "k2", "k3"]), _values, min_size=1))
def test_every_key_of_a_document_has_a_place(document: dict[str, object]) -> None:
    text = "".join(f"{key} = {_toml(value)}\n" for key, value in document.items())
    try:
        assert tomllib.loads(text) == document
    except tomllib.TOMLDecodeError:
        return  # a list within an inline table may not go over lines in older parsers
    places = locate(text)
    assert set(places) == set().union(*(_paths(value, key) for key, value in document.items()))
    lines = text.split("\n")
    for path, (line, column) in places.items():
        name = path.rpartition(".")[2]
        if "[" not in name:
            assert lines[line - 1][column - 1 :].startswith(name)
