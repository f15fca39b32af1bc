"""The board for the end of `harness run`, as wide as the terminal is.

An arm's name never wraps. Where the table is too wide, names are cut at 28 characters, then columns are left out in a
stated order (`_order`), and a line below says which; verdicts are never cut, rather the names once more. A grid's cells
stand under their values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from harness.board import aggregate_words, claim_words, method_words, rank_words, tuning, wording
from harness.board.cells import with_cells_in_words
from harness.board.fit import GAP, left_out, left_out_words, table_width
from harness.board.interim import stamps_beside
from harness.board.wording import plain

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

Json = Mapping[str, Any]

LONGEST_NAME = 28
"""Characters of an arm's name where there is no room for all."""
_LONGEST_VERDICT = len("○ not resolved")
_NARROWEST = 20
"""Columns to which text is wrapped however narrow the terminal is."""
_COLUMNS = ("#", "arm", "top-1, %", "Δ top-1", "verdict", "images/s", "MiB", "FLOPs", "failed")
_TO_THE_LEFT = ("arm", "verdict")
_STYLES = {"better": "bold cyan", "worse": "bold yellow", "equal": "green", "not resolved": "dim"}
_CLAIM_STYLES = {"reproduced": "bold cyan", "weaker": "cyan", "contradicted": "bold yellow"}


def terminal(board: Json) -> TerminalBoard:
    """Return a rich renderable: notices, the table, a line of reason for each arm, the claims.

    Names reach rich as `Text`, never as markup.
    """
    return TerminalBoard(with_cells_in_words(board))


class TerminalBoard:
    """A board that rich prints at the width that there is."""

    def __init__(self, board: Json) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines; what wraps goes on under its arm or claim."""
        from rich.text import Text

        board, width = self._board, max(options.max_width, _NARROWEST)

        def hang(text: Text, first: int = 0, others: int = 0) -> Iterator[Text]:
            for number, line in enumerate(text.wrap(console, width - max(first, others))):
                yield Text(" " * (others if number else first)).append_text(line)

        yield from hang(Text.assemble((plain(board["suite"]), "bold"), f"  {wording.summary(board)}"))
        for notice in wording.notices(board):
            yield from hang(Text(f"! {notice}", style="yellow"), others=2)
        yield Text()
        gone, kept = _columns(board["rows"], width)
        yield from _table(board["rows"], gone, kept)
        yield Text()
        for row in board["rows"]:
            if remarks := _remarks(row, width):
                style = _STYLES.get(row["verdict"] or "", "dim")
                yield from hang(Text.assemble((plain(row["arm"]), style), f"  {remarks}"), 2, 4)
        yield Text()
        for told in (
            method_words.method(board, gone),
            "" if "#" in gone else rank_words.ranks_note(board),
            wording.calibration(board),
            tuning.tuning_line(board),
        ):
            if told:
                yield from hang(Text(told, style="dim"))
        if board.get("aggregate"):
            yield from (Text(), Text(aggregate_words.aggregate_title(board), style="bold"))
            yield from _aggregate(board)
            for note in aggregate_words.aggregate_notes(board):
                yield from hang(Text(note, style="dim"))
        if claims := board.get("claims"):
            yield from (Text(), Text("Claims", style="bold"))
            for claim in claims:
                yield from hang(_claim(claim), 2, 4)
                yield from hang(Text(plain(claim_words.claim_remark(claim)), style="dim"), 4, 4)
            yield from hang(Text(claim_words.family_note(board), style="dim"))


def _columns(rows: Sequence[Json], width: int) -> tuple[list[str], dict[str, int]]:
    """Return the columns that there is no room for, and of the others how wide each is."""
    cells = [_cells(row) for row in rows]
    widths = {
        name: max([len(name), *(line[number].cell_len for line in cells)])
        for number, name in enumerate(_COLUMNS)
    }
    if table_width([*widths.values()]) > width:
        widths["arm"] = min(widths["arm"], LONGEST_NAME)
    gone = left_out(widths, _order(rows), width)
    kept = {name: taken for name, taken in widths.items() if name not in gone}
    # What is still too wide is the name, which stands in full beside its reason.
    kept["arm"] -= min(max(table_width([*kept.values()]) - width, 0), kept["arm"] - 1)
    return gone, kept


def _table(rows: Sequence[Json], gone: Sequence[str], kept: Mapping[str, int]) -> Iterator[Text]:
    """Yield the table's lines: heading, rule, the rows of each cell under its values, what was left out."""
    from rich.text import Text

    yield _line([Text(name) for name in _COLUMNS], kept, style="bold")
    yield _whole("─" * table_width([*kept.values()]))
    for values, group in groupby(rows, key=wording.cell):
        if values:
            yield _whole(values, style="italic")
        for row in group:
            yield _line(_cells(row), kept)
    if gone:
        yield Text(left_out_words(gone), style="dim")


def _order(rows: Sequence[Json]) -> list[str]:
    """Return what may be left out, least important first. Failures, where there are some, outlast what was measured."""
    measured = ["FLOPs", "MiB", "images/s"]
    has_failed = any(row["replicates"]["failed"] for row in rows)
    return [*([*measured, "failed"] if has_failed else ["failed", *measured]), "#", "top-1, %", "Δ top-1"]


def _cells(row: Json) -> list[Text]:
    """Return a row's cells, in the order of `_COLUMNS`."""
    from rich.text import Text

    style = _STYLES.get(row["verdict"] or "", "bold" if row["baseline"] else "dim")
    return [
        Text(rank_words.open_ranks(row) or wording.rank(row)),  # the row's place tells the rank by the mean
        Text(plain(row["arm"]), style="bold" if row["baseline"] else ""),
        Text(_narrow(wording.with_half_width(row["top1"]))),
        Text(_narrow(wording.with_half_width(row["difference"], sign=True))),
        Text(wording.verdict(row), style=style),
        Text(_narrow(wording.speed(row))),
        Text(_mebibytes(row["peak_memory_bytes"])),
        Text(wording.with_parents(row, "training_flops").replace(" + ", " +")),
        Text(wording.failed(row)),
    ]


def _line(cells: Sequence[Text], kept: Mapping[str, int], style: str = "") -> Text:
    """Return one line of the table: of every column that is kept, its cell in its width."""
    line = _whole("", style=style)
    for name, cell in zip(_COLUMNS, cells, strict=True):
        if name not in kept:
            continue
        shown = cell.copy()
        shown.truncate(kept[name], overflow="ellipsis")
        room = " " * (kept[name] - shown.cell_len)
        line.append(" " * GAP if line.plain else "")
        line.append("" if name in _TO_THE_LEFT else room).append_text(shown)
        line.append(room if name in _TO_THE_LEFT else "")
    line.rstrip()
    return line


def _whole(text: str, style: str = "") -> Text:
    """Return a line that never wraps: on a terminal that is too narrow for any table, its end is cut."""
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _aggregate(board: Json) -> Iterator[Text]:
    """Yield the table over all data sets, its columns as wide as what stands in them."""
    if not (rows := aggregate_words.aggregate_rows(board)):
        return
    lines = [aggregate_words.HEADINGS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for number, line in enumerate(lines):
        cells = (one.ljust(width) for one, width in zip(line, widths, strict=True))
        yield _whole((" " * GAP).join(cells).rstrip(), style="" if number else "bold")


def _claim(claim: dict[str, Any]) -> Text:
    """Return what was claimed, what was measured, and the verdict."""
    from rich.text import Text

    name, arms, metric, claimed, measured, verdict = map(plain, claim_words.claim_cells(claim))
    told = f"  {arms}, {metric}: claimed {claimed}, measured {measured}"
    return Text.assemble((name, "bold"), "  ", (verdict, _CLAIM_STYLES.get(verdict, "dim")), told)


def _narrow(text: str) -> str:
    return text.replace(" ± ", " ±").replace("(", "").replace(")", "")


_PACES = frozenset({"faster", "slower", "smaller", "larger"})


def _mebibytes(value: float | None) -> str:
    return wording.ABSENT if value is None else wording.decimal(value / 2**20, 0)


def _remarks(row: Json, width: int) -> str:
    """Return what is to be said of a row; empty where it is a baseline of which nothing is."""
    reason = [] if row["baseline"] else [row["reason"]]
    needs = [wording.parents(row)] if row.get("parents") else []
    # A name that the table may cut stands here in full.
    room = min(LONGEST_NAME, width - GAP - _LONGEST_VERDICT)
    cut = ["baseline"] if row["baseline"] and len(plain(row["arm"])) > room else []
    tuned = [told] if (told := tuning.tuned_words(row)) else []
    paces = [
        f"{pace['verdict']}: {pace['reason']}"
        for key in ("speed_verdict", "memory_verdict")
        if (pace := row.get(key)) and pace["verdict"] in _PACES
    ]
    return plain("; ".join([*cut, *reason, *paces, *stamps_beside(row), *needs, *tuned]))
