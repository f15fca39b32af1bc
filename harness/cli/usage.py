"""Mistakes of usage in one voice: what was given, and what is allowed."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperGroup

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_PREFIXES = {"Value error, ": "", "Input should be ": "must be "}
"""How typer's validation begins its messages, and how they begin here."""


class Commands(TyperGroup):
    """The commands; what is wrong with an option is said in plain words."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for, and reword what its options refuse."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            for prefix, plain in _PREFIXES.items():
                if error.message.startswith(prefix):
                    error.message = plain + error.message.removeprefix(prefix)
            raise


def known_device(name: str | None) -> str | None:
    """Refuse a device that nothing here runs on, before anything is read."""
    if name is not None and not _DEVICE.fullmatch(name):
        raise typer.BadParameter(f'no device is called "{name}": auto, cpu, cuda or cuda:NUMBER')
    return name
