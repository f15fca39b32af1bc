import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = """\
from __future__ import annotations
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal
from annotated_types import Ge, Interval
from harness.contract import *
from harness.contract import hookimpl
"""


@pytest.fixture
def plugin_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a plugin file with one component, or with a body of its own."""

    def write(
        body: str, kind: str = "trick", name: str = "toy", target: str = "Toy", file: str = "toy.py"
    ) -> Path:
        text = HEAD + textwrap.dedent(body)
        if "harness_register" not in text:
            text += (
                "\n@hookimpl\ndef harness_register(registry):\n"
                f"    registry.add({kind!r}, {name!r}, {target}, summary='a toy')\n"
            )
        path = tmp_path / file
        path.write_text(text)
        return path

    return write


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes an installed distribution: modules, metadata, entry points, a record of its files."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def write(name: str, modules: dict[str, str], points: dict[str, str], version: str = "1.0") -> Path:
        for path, text in modules.items():
            file = site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(HEAD + textwrap.dedent(text))
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = "".join(f"{point} = {target}\n" for point, target in points.items())
        (info / "entry_points.txt").write_text(f"[harness.plugins]\n{lines}")
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in modules))
        return site

    return write
