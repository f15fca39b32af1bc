"""The board for the end of `harness run`, within 100 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.board import claim_words, tuning, wording
from harness.board.wording import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 100
_STYLES = {"better": "bold cyan", "worse": "bold yellow", "equal": "green", "not resolved": "dim"}
_CLAIM_STYLES = {"reproduced": "bold cyan", "weaker": "cyan", "contradicted": "bold yellow"}


def terminal(board: Mapping[str, Any]) -> RenderableType:
    """Return a rich renderable: notices, the table, and a line of reason for each arm.

    Names reach rich as `Text`, never as markup.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, width=None, show_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("arm", overflow="fold", max_width=28)
    for name in ("top-1, %", "Δ top-1"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name in ("images/s", "MiB", "FLOPs", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in board["rows"]:
        style = _STYLES.get(row["verdict"] or "", "bold" if row["baseline"] else "dim")
        table.add_row(
            wording.rank(row),
            Text(plain(row["arm"]), style="bold" if row["baseline"] else ""),
            _narrow(wording.with_half_width(row["top1"])),
            _narrow(wording.with_half_width(row["difference"], sign=True)),
            Text(wording.verdict(row), style=style),
            _narrow(wording.speed(row)),
            _mebibytes(row["peak_memory_bytes"]),
            wording.with_parents(row, "training_flops").replace(" + ", " +"),
            wording.failed(row),
        )
    title = Text.assemble((plain(board["suite"]), "bold"), f"  {wording.summary(board)}")
    notices = [Text(f"! {notice}", style="yellow") for notice in wording.notices(board)]
    reasons = [
        Text.assemble((f"  {plain(row['arm'])}  ", _STYLES.get(row["verdict"] or "", "dim")), _remarks(row))
        for row in board["rows"]
        if not row["baseline"] or row["stamps"] or row.get("parents")
    ]
    calibration = [Text(told, style="dim")] if (told := wording.calibration(board)) else []
    return Group(
        title,
        *notices,
        Text(),
        table,
        Text(),
        *reasons,
        Text(),
        Text(wording.method(board), style="dim"),
        *calibration,
        *([Text(told, style="dim")] if (told := tuning.tuning_line(board)) else []),
        *_claims(board.get("claims") or []),
    )


def _claims(claims: list[dict[str, Any]]) -> list[RenderableType]:
    from rich.text import Text

    lines: list[RenderableType] = [Text(), Text("Claims", style="bold")] if claims else []
    for claim in claims:
        name, arms, metric, claimed, measured, verdict = map(plain, claim_words.claim_cells(claim))
        told = f"  {arms}, {metric}: claimed {claimed}, measured {measured}"
        style = _CLAIM_STYLES.get(verdict, "dim")
        lines.append(Text.assemble((f"  {name}  ", "bold"), (verdict, style), told))
        lines.append(Text(f"    {plain(claim_words.claim_remark(claim))}", style="dim"))
    return lines


def _narrow(text: str) -> str:
    return text.replace(" ± ", " ±").replace("(", "").replace(")", "")


def _mebibytes(value: float | None) -> str:
    return wording.ABSENT if value is None else wording.decimal(value / 2**20, 0)


def _remarks(row: Mapping[str, Any]) -> str:
    reason = [] if row["baseline"] else [row["reason"]]
    needs = [wording.parents(row)] if row.get("parents") else []
    return plain("; ".join([*reason, *row["stamps"], *needs]))
