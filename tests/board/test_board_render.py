"""Every format shows what a name is made of, and is harmed by none."""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from harness.board import render
from harness.board.axes import ticks
from harness.board.leaderboard import build
from harness.board.write import write

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a|b\n|c|`d`",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "\x1b[31mred\x1b[0m\x07",
    "[bold red]markup[/] [link=http://x.y]z[/link]",
    "{style} %s {0.__class__}",
    "[x](javascript:alert(1)) ![y](http://x.y/z.png) www.x.y",
    "\u202eright to left",
]


def hostile_board(inputs: Any, failing: Any, name: str) -> dict[str, Any]:
    """Return a board in which everything that a stranger may word is `name`."""
    given = inputs({"plain": 0.0, "arm": 1.0}, epochs=4)
    # Renamed here, because the fixture's random numbers are keyed by the arm's name.
    for entry in (*given.plan["trials"], *given.records, *given.timings):
        entry["arm"] = name if entry["arm"] == "arm" else entry["arm"]
    given.plan["arms"][1]["name"] = name
    given.plan |= {"suite": name, "verdicts_reason": name}
    given.plan["arms"][1]["varies"] = [name]
    given.plan["manifests"]["m"] |= {"dataset": name, "licence": name}
    bad = given.of(name)[0]
    failing(bad, "crashed", name)
    bad["culprit"] |= dict.fromkeys(("plugin", "slot", "traceback"), name)
    for record in given.of(name):
        record["changes"] = [name]
        record["observables"] = {name: {"name": name, "value": 1.0}}
        if record["results"]["test"]:
            record["results"]["test"]["metrics"] = {name: 1.0}
    given.shared["session"] = {"command": name}
    given.shared["code"] = {"version": name}
    given.shared["pipeline-arm"] = name
    return build(
        given.plan, given.records, given.timings, [{"path": name, "reason": name}], shared=given.shared
    )


class Elements(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def elements_of(page: str) -> Elements:
    parser = Elements()
    parser.feed(page)
    return parser


@pytest.fixture(params=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> str:
    return HOSTILE[request.param]


def test_no_element_of_the_page_comes_from_a_name(inputs: Any, failing: Any, hostile: str) -> None:
    # An even number of surprises: as many elements and attributes as a board of tame names has.
    tame = elements_of(render.html(hostile_board(inputs, failing, "tame")))
    wild = elements_of(render.html(hostile_board(inputs, failing, hostile)))
    assert wild.counts == tame.counts
    assert [key for key, _ in wild.attributes] == [key for key, _ in tame.attributes]
    assert wild.counts["script"] == 1
    assert not any(key.startswith("on") for key, _ in wild.attributes)
    shown = "".join(wild.text)
    if hostile.isprintable():
        assert hostile in shown
    assert "\x1b" not in shown and "\u202e" not in shown


def test_the_page_fetches_nothing_and_its_policy_allows_only_its_own_code(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    page = render.html(build(given.plan, given.records, given.timings, shared=given.shared))
    assert len(page.encode()) < 2_000_000
    assert not re.search(
        r"(src|href|action|data|poster)\s*=\s*[\"']?(?!#)[^\"'#\s>]*[:/]", page.replace("data-value", "")
    )
    assert "url(" not in page and "@import" not in page and " style=" not in page
    policy = next(value for key, value in elements_of(page).attributes if value and "default-src" in value)
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        body = re.search(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        assert body is not None
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_markdown_keeps_its_table_whatever_the_names(inputs: Any, failing: Any, hostile: str) -> None:
    text = render.markdown(hostile_board(inputs, failing, hostile))
    table = [line for line in text.splitlines() if line.startswith("|")]
    # Heading, rule and two arms: the verdicts, and more numbers folded away.
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table] == [9] * 4 + [5] * 4
    text = re.sub(r"</?(details|summary)>", "", text)
    assert "<" not in text and "\x1b" not in text and "@" not in text
    assert not re.search(r"(?<!\\)\]\(", text) and "://" not in text and "www." not in text


def test_no_cell_of_the_csv_is_a_formula(inputs: Any, failing: Any, hostile: str) -> None:
    rows = list(csv.reader(io.StringIO(render.csv(hostile_board(inputs, failing, hostile)))))
    assert len(rows) == 3 and {len(row) for row in rows} == {len(rows[0])}
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "@", "\t", "\r"))
        if cell.startswith(("+", "-")):
            float(cell)


def test_the_csv_has_the_same_columns_first_whatever_the_board_has(inputs: Any, failing: Any) -> None:
    whole = inputs({"plain": 0.0, "arm": 1.0})
    bare = inputs({"plain": 0.0, "arm": 1.0}, replicates=1)
    for record in bare.of("arm"):
        failing(record, "crashed")
    boards = [build(whole.plan, whole.records, whole.timings), build(bare.plan, bare.records, ())]
    heads = [next(csv.reader(io.StringIO(render.csv(board)))) for board in boards]
    page = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text()
    documented = re.findall(r"^\| `([a-z0-9_]+)`", page, re.MULTILINE)
    assert documented[:6] == ["rank", "arm", "verdict", "reason", "baseline", "against"]
    for head in heads:
        assert len(set(head)) == len(head)
        assert head[: len(documented)] == documented
        # No column is what is left of a table that a row lacks.
        assert not {"top1", "difference", "difference_points", "nll_nats", "rank_interval", "p_better"} & set(
            head
        )
    assert "metrics_top5_mean" in heads[0]


def test_csv_holds_every_number_in_full(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    board = build(given.plan, given.records, given.timings)
    for line, row in zip(csv.DictReader(io.StringIO(render.csv(board))), board["rows"], strict=True):
        assert float(line["top1_mean_percent"]) == row["top1"]["mean"]
        assert float(line["metrics_top5_mean"]) == row["metrics"]["top5"]["mean"]
        assert line["arm"] == row["arm"] and line["statuses"] == "completed 10"
        if row["difference"]:
            assert float(line["difference_p_holm"]) == row["difference"]["p_holm"]


def printed(board: dict[str, Any], width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False, color_system=None)
    console.print(render.terminal(board))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_terminal_shows_names_as_they_are(inputs: Any, failing: Any, hostile: str) -> None:
    text = printed(hostile_board(inputs, failing, hostile), width=300)
    assert "\x1b" not in text and "\x07" not in text
    if hostile.isprintable():
        assert hostile in text


def test_the_terminal_table_fits_in_100_columns(inputs: Any, failing: Any) -> None:
    given = inputs({"plain": 0.0, "a-rather-long-name-of-an-arm": 0.0, "slow": -12.0}, noise=1.0, seed=2)
    failing(given.of("slow")[0], "diverged")
    for timing in given.timings:
        timing["images_per_second"] *= 10
    text = printed(build(given.plan, given.records, given.timings))
    assert max(map(len, text.splitlines())) <= 100
    assert "1/10" in text and "○ not resolved" in text and "1.00×" in text


def test_every_format_names_verdict_and_reason(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "good": 1.5, "bad": -1.5})
    board = build(given.plan, given.records, given.timings)
    for text in (
        render.markdown(board),
        render.csv(board),
        render.json(board),
        render.html(board),
        printed(board, 200),
    ):
        assert "better" in text and "worse" in text
        assert all(row["reason"] in text for row in board["rows"][:1])


def test_json_is_sorted_and_reads_back(inputs: Any) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    assert orjson.loads(render.json(board)) == board
    assert list(orjson.loads(render.json(board))) == sorted(board)


def test_write_is_whole_and_leaves_equal_files_alone(inputs: Any, tmp_path: Path) -> None:
    given = inputs({"plain": 0.0, "arm": 1.0})
    board = build(given.plan, given.records, given.timings)
    paths = write(board, tmp_path / "new")
    assert sorted(path.name for path in paths) == [
        f"leaderboard.{end}" for end in ("csv", "html", "json", "md", "tex")
    ]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {path.name for path in paths}
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}
    write(board, tmp_path / "new")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths} == before


def test_fifty_arms_and_long_texts_stay_under_two_megabytes(inputs: Any, failing: Any) -> None:
    given = inputs({f"arm-{index}": index / 50 for index in range(50)}, replicates=4, epochs=100)
    for record in given.records[100:]:
        failing(record, "crashed", "e" * 500)
        record["culprit"]["traceback"] = "t" * 50_000
    given.shared |= {key: "p" * 100_000 for key in given.shared if key.startswith("pipeline")}
    board = build(given.plan, given.records, given.timings, shared=given.shared)
    assert len(render.html(board).encode()) < 2_000_000
    assert len(render.json(board).encode()) < 20_000_000


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 10.0) == [0, 2, 4, 6, 8, 10]
    assert ticks(-0.37, 0.41) == pytest.approx([-0.2, 0, 0.2, 0.4])
    assert ticks(92.3, 97.9) == pytest.approx([94, 96])


def test_importing_and_building_loads_no_slow_library(tmp_path: Path) -> None:
    # `harness leaderboard` has 0.4 s; numpy alone takes 0.2 and scipy.special 0.6.
    code = (
        "import sys; from harness.board import render; from harness.board.leaderboard import build\n"
        "board = build({'suite': 's', 'arms': [], 'trials': []}, [], []); render.html(board); render.markdown(board)\n"
        "print([name for name in ('torch', 'numpy', 'scipy', 'jinja2', 'rich', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
