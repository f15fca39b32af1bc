import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.contract import KINDS
from harness.errors import PluginError
from harness.registry.discovery import discover

TOY = """
@dataclass(frozen=True)
class Toy(Trick):
    scale: float = 1.0
"""
REGISTER = """
@hookimpl
def harness_register(registry):
    registry.add("trick", "{name}", {target}, summary="a toy")
"""


def test_first_party_components_are_bare_and_all_load_without_torch() -> None:
    registry = discover()
    assert {entry.kind for entry in registry.entries()} >= set(KINDS)
    assert [entry for entry in registry.entries() if entry.status != "ok"] == []
    for entry in registry.entries():
        if entry.distribution == "harness-bench":
            assert entry.full_name == entry.name
            assert issubclass(registry.load(entry), KINDS[entry.kind])


def test_third_party_names_carry_their_distribution(distribution: Callable[..., Path]) -> None:
    distribution(
        "Toy_Tricks", {"toys.py": TOY + REGISTER.format(name="swirl", target="'toys:Toy'")}, {"toys": "toys"}
    )
    registry = discover()
    entry = registry.find("trick", "toy-tricks/swirl")
    assert (entry.source, entry.version, entry.status) == ("toy-tricks", "1.0", "ok")
    with pytest.raises(PluginError, match='there is no trick "swirl"; did you mean "toy-tricks/swirl"'):
        registry.find("trick", "swirl")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("class Panic(BaseException): pass\nraise Panic('boom')\n", "boom"),
        ("def broken(:\n", "SyntaxError"),
        ("x = 1\n", "defines no hook"),
        ("@hookimpl\ndef harness_regster(registry): pass\n", 'did you mean "harness_register"'),
        ("def harness_register(registry): pass\n", "@hookimpl"),
        ("@hookimpl\ndef harness_register(reg): pass\n", "harness_register(registry)"),
        ("@hookimpl(tryfirst=True)\ndef harness_register(registry): pass\n", "no options"),
        (
            "@hookimpl\ndef harness_register(registry): registry.add('trik', 'a', 'm:C', summary='s')\n",
            'did you mean "trick"',
        ),
        (
            "@hookimpl\ndef harness_register(registry): registry.add('trick', 'A B', 'm:C', summary='s')\n",
            "is no name",
        ),
        (
            "@hookimpl\ndef harness_register(registry): registry.add('trick', 'a', 'm.C', summary='s')\n",
            "package.module:Class",
        ),
        (
            "@hookimpl\ndef harness_register(registry): registry.add('trick', 'a', 'm:C', summary='s\\n')\n",
            "one line",
        ),
    ],
)
def test_a_broken_plugin_is_listed_with_the_reason_and_takes_nobody_along(
    distribution: Callable[..., Path], body: str, told: str
) -> None:
    name = f"broken_{abs(hash(body))}"
    distribution("aa-broken", {f"{name}.py": body}, {"aa": name})
    registry = discover()
    (broken,) = registry.entries("plugin")
    assert (broken.name, broken.source, broken.status) == ("aa", "aa-broken", "broken")
    assert told in broken.error
    assert registry.find("trick", "sam").status == "ok"


def test_a_plugin_that_fails_half_way_offers_nothing(plugin_file: Callable[..., Path]) -> None:
    path = plugin_file(
        TOY + REGISTER.format(name="one", target="Toy") + "    raise RuntimeError('half way')\n"
    )
    registry = discover([path], allow="none")
    assert [entry.kind for entry in registry.entries()] == ["plugin"]
    assert "half way" in registry.entries()[0].error


def test_two_distributions_with_one_entry_point_name_are_both_loaded(
    distribution: Callable[..., Path],
) -> None:
    distribution(
        "first-dist", {"first_dist.py": TOY + REGISTER.format(name="a", target="Toy")}, {"same": "first_dist"}
    )
    distribution(
        "second-dist",
        {"second_dist.py": TOY + REGISTER.format(name="a", target="Toy")},
        {"same": "second_dist"},
    )
    names = {entry.full_name for entry in discover(allow="same").entries("trick")}
    assert names == {"first-dist/a", "second-dist/a"}


def test_a_name_taken_is_the_later_plugins_fault(plugin_file: Callable[..., Path]) -> None:
    path = plugin_file(TOY, name="sam")
    registry = discover([path])
    assert registry.find("trick", "sam").source == "harness-bench"
    (broken,) = registry.entries("plugin")
    assert 'the trick "sam" is offered by harness-bench already' in broken.error


def test_allow_picks_by_entry_point_or_distribution_and_files_always_load(
    distribution: Callable[..., Path], plugin_file: Callable[..., Path]
) -> None:
    distribution(
        "picked-dist",
        {"picked_dist.py": TOY + REGISTER.format(name="p", target="Toy")},
        {"point": "picked_dist"},
    )
    path = plugin_file(TOY)
    assert {e.full_name for e in discover([path], allow="none").entries()} == {"toy"}
    assert {e.full_name for e in discover(allow="point").entries()} == {"picked-dist/p"}
    assert {e.full_name for e in discover(allow=" picked_dist ,").entries()} == {"picked-dist/p"}
    both = {e.full_name for e in discover(allow="harness-bench,point").entries()}
    assert {"picked-dist/p", "sam"} <= both
    with pytest.raises(PluginError, match=r'"poimt".*did you mean "point"'):
        discover(allow="poimt")
    with pytest.raises(PluginError, match="HARNESS_PLUGINS=none"):
        discover(allow="none").find("trick", "sam")


def test_an_edit_within_one_second_and_of_one_size_is_seen(plugin_file: Callable[..., Path]) -> None:
    for scale in ("1.0", "2.0", "3.0"):
        registry = discover([plugin_file(TOY.replace("1.0", scale))], allow="none")
        normal, _ = registry.validate("trick", "toy", "t")
        assert normal["params"] == {"scale": float(scale)}


def test_what_a_plugin_prints_stays_out_of_stdout(
    plugin_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    discover([plugin_file("print('noise')\n" + TOY)], allow="none")
    assert capsys.readouterr() == ("", "noise\n")


def test_a_missing_file_is_a_broken_plugin(tmp_path: Path) -> None:
    (broken,) = discover([tmp_path / "absent.py"], allow="none").entries()
    assert "cannot read" in broken.error and "absent.py" in broken.error


def test_families_are_found_by_what_stands_before_the_colon(plugin_file: Callable[..., Path]) -> None:
    body = """
    @dataclass(frozen=True)
    class Zoo(Backbone):
        model: str
        small: bool = False
        def build(self, info): ...
    """
    registry = discover([plugin_file(body, "backbone", "zoo:", "Zoo")], allow="none")
    assert registry.find("backbone", "zoo:any/thing.v1").name == "zoo:"
    normal, problems = registry.validate("backbone", {"name": "zoo:cat", "small": True}, "b")
    assert (normal, problems) == ({"name": "zoo:cat", "params": {"model": "cat", "small": True}}, [])
    assert registry.build("backbone", normal).model == "cat"
    _, (problem,) = registry.validate("backbone", {"name": "zoo:cat", "model": "dog"}, "b")
    assert (problem.path, "written into the name" in problem.message) == ("b.model", True)
    _, (problem,) = registry.validate("backbone", "zoo:", "b")
    assert "after the colon" in problem.message


def test_hooks_are_called_in_order_and_a_failing_one_warns(plugin_file: Callable[..., Path]) -> None:
    calls = (
        "seen = []\n@hookimpl\ndef harness_register(registry): pass\n"
        "@hookimpl\ndef harness_trial_finished(record): seen.append(record)\n"
    )
    fails = calls.replace("seen.append(record)", "raise SystemExit('no')")
    paths = [plugin_file(fails, file="a.py"), plugin_file(calls, file="b.py")]
    registry = discover(paths, allow="none")
    with pytest.warns(RuntimeWarning, match=r"a\.py.*harness_trial_finished failed: SystemExit: no"):
        registry.hooks.harness_trial_finished(trial=None, record={"id": 1})  # type: ignore[arg-type]
    module = next(m for m in sys.modules.values() if getattr(m, "__file__", None) == str(paths[1]))
    assert module.seen == [{"id": 1}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.hooks.harness_board_built(board={})
