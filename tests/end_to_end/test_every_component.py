"""Every hook and every first-party component is documented, light to list, and tested."""

import ast
import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.contract import KINDS
from harness.contract.hooks import HookSpecs
from harness.registry.discovery import discover

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "timm", "sklearn", "pyarrow", "scipy", "numpy")

ENTRIES = [
    entry for entry in discover(allow="first-party").entries() if entry.distribution == "harness-bench"
]
IDS = [f"{entry.kind}-{entry.name}" for entry in ENTRIES]


def hooks():
    return sorted(name for name in vars(HookSpecs) if name.startswith("harness_"))


def test_every_hook_is_documented_with_its_parameters_and_implemented_in_a_test():
    documents = "\n".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    trees = [ast.parse(path.read_text()) for path in Path(__file__).parent.glob("*.py")]
    texts = [
        n.value
        for t in trees
        for n in ast.walk(t)
        if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    for name in hooks():
        parameters = ", ".join(list(inspect.signature(getattr(HookSpecs, name)).parameters)[1:])
        signature = f"{name}({parameters})"
        assert f"`{signature}`" in documents, signature
        assert any(f"def {signature}:" in text for text in texts), signature
    assert len(hooks()) == 4


def test_listing_and_importing_every_module_of_the_plugins_loads_nothing_heavy():
    code = f"""
import importlib, json, pkgutil, sys
import harness_plugins
names = [m.name for m in pkgutil.walk_packages(harness_plugins.__path__, "harness_plugins.")]
for name in names:
    importlib.import_module(name)
print(json.dumps([len(names), [m for m in {HEAVY!r} if m in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, heavy = json.loads(done.stdout)
    files = list((ROOT / "plugins" / "harness_plugins").rglob("*.py"))
    assert count == len(files) - 1
    assert heavy == []
    print(f"{count} modules")


def test_the_listing_holds_every_component_of_the_source_tree(place):
    listed = {(entry["kind"], entry["name"]) for entry in json.loads(place.run("list", "--json").stdout)}
    assert {(entry.kind, entry.full_name) for entry in ENTRIES} <= listed
    offered = {entry.target.partition(":")[2] for entry in ENTRIES}
    defined = {
        node.name
        for path in (ROOT / "plugins" / "harness_plugins").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(base, ast.Name) and base.id in {kind.__name__ for kind in KINDS.values()}
            for base in node.bases
        )
    }
    assert defined == offered
    print(f"{len(offered)} components")


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_a_component_names_its_parameters_in_its_docstring(entry):
    loaded = discover(allow="first-party").load(entry)
    text = f"{inspect.getdoc(inspect.getmodule(loaded)) or ''}\n{loaded.__doc__ or ''}"
    assert len(text.split()) >= 8
    unnamed = [f.name for f in dataclasses.fields(loaded) if not re.search(rf"\b{f.name}\b", text)]
    assert unnamed == []


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_a_component_has_a_test_beside_others_of_its_kind(entry):
    name = entry.target.partition(":")[2]
    quoted = re.escape(f'"{entry.name}') + ("" if entry.is_family else '"')
    tests = list((ROOT / "tests" / "plugins" / f"{entry.kind}s").glob("test_*.py"))
    assert tests
    assert any(re.search(rf"\b{name}\b|{quoted}", path.read_text()) for path in tests)
