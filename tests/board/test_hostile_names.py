"""Fifty hostile names through every output: as arm, class, plugin, error, file, dataset, claim and measurement.

Each format is read back by a parser of its own, and a board of hostile names has the shape of one of tame names.
"""

from __future__ import annotations

import csv
import html.parser
import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from harness.board import gate, render
from harness.board.compare import Given, compare_results
from harness.board.compare_render import render_markdown as compare_markdown
from harness.board.compare_render import render_text as compare_text
from harness.board.gate_render import render_json, render_junit, render_markdown, render_text
from harness.board.leaderboard import build
from harness.board.wording import plain
from harness.launch.progress import Lines

OWN = "document.title='owned'"
HOSTILE = [
    # elements, and the ends of those that a page has
    f"<script>{OWN}</script>",
    f"</script><script>{OWN}</script>",
    f"</style><script>{OWN}</script>",
    f"</title></head><body onload={OWN}>",
    f"--><script>{OWN}</script><!--",
    f"]]><script>{OWN}</script>",
    f"<!--<script>{OWN}",
    f'"><img src=x onerror="{OWN}">',
    f"'><img src=x onerror={OWN}>",
    f"<svg onload={OWN}>",
    f"<svg><script>{OWN}</script></svg>",
    f'<iframe srcdoc="<script>parent.{OWN}</script>">',
    f'<a href="javascript:{OWN}">x</a>',
    f"<math><mtext></table><img src=x onerror={OWN}>",
    f'" onmouseover="{OWN}" autofocus onfocus="{OWN}" x="',
    f"<details open ontoggle={OWN}>",
    "<base href=//x.example><form action=//x.example><input name=x>",
    '<meta http-equiv=refresh content="0;url=//x.example">',
    f"&lt;script&gt;{OWN}&lt;/script&gt; &#60;b&#62; &amp;amp;",
    f"\\u003cscript\\u003e{OWN}\\u003c/script\\u003e",
    "<template><b></template> <slot> <noscript><p title=</noscript>",
    # links, and JavaScript's own syntax
    f"javascript:{OWN}",
    f"[x](javascript:{OWN}) ![y](http://x.example/z.png) www.x.example",
    f"${{{OWN}}} `${{{OWN}}}`",
    f"';{OWN};// \\';{OWN};//",
    "http://x.example/?a=b&c=d mail@x.example mailto:a@x.example <https://x.example>",
    "__proto__",
    # Markdown
    "a|b\n|c|`d`|\n|---|---|",
    "`` ` `code` ``` ~~~ ~~gone~~",
    "**bold** __bold__ *em* _em_ # head",
    "\n\n# heading\n- item\n> quote\n\n***\n",
    "@everyone #123 GH-1 :smile: $x$ $$y$$",
    "<details><summary>x</summary></details><br>",
    "trailing backslash \\",
    # LaTeX
    "\\input{/etc/passwd} \\write18{id} \\end{tabular}",
    "50% & more_ #1 ^2 ~3 {4} $5$ \\\\ [6pt] -- ''x'' ``y``",
    "}}}{{{ \\def\\x{",
    # spreadsheets
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://x.example","x")',
    "+1+1\t=2",
    "@SUM(A1:A9)",
    "\t=1+1,\"quoted\",'single'",
    "＝1+1",
    # terminals
    "\x1b[31mred\x1b[0m\x07 \x1b]0;title\x07 \x1b]8;;http://x.example\x1b\\link",
    "\x9b31m \x85 \x08\x08\x08 \r\n overwritten\r",
    "\u202eright to left\u202c \u2066isolated\u2069 \u200bzero\u2060 \ufeff \U000e0041",
    "[bold red]markup[/] [link=http://x.example]z[/link] [/] :boom:",
    # formats and sizes
    "{style} %s %(x)d {0.__class__} ${HOME} $(id) `id`; rm -rf *",
    "\\x00 \\u0000 %00 \x00 nul",
    "long <b>" * 400,
]


def test_there_are_fifty_and_all_differ() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) == 50


def hostile_inputs(inputs: Any, failing: Any, name: str) -> Any:
    """Return plan and records in which everything that a stranger may word is `name`."""
    given = inputs({"plain": 0.0, "arm": 1.0}, replicates=7, epochs=3)
    for entry in (*given.plan["trials"], *given.records, *given.timings):
        entry["arm"] = name if entry["arm"] == "arm" else entry["arm"]
    arm = given.plan["arms"][1]
    component: dict[str, Any] = {"name": name, "params": {name: name, "path": name}}
    arm |= {"name": name, "varies": [name], "recipe": {"dataset": component, "tricks": [component]}}
    arm["components"] = [
        {
            "kind": "trick",
            "name": name,
            "full_name": name,
            "distribution": name,
            "version": name,
            "source_digest": name,
        }
    ]
    given.plan |= {"suite": name, "verdicts_reason": name}
    manifest = given.plan["manifests"]["m"]
    manifest |= {"dataset": name, "licence": name, "classes": [name, f"{name} 2"]}
    manifest["splits"]["test"]["class_counts"] = [449, 450]
    claim = {"name": name, "source": name, "claimed": 1.0, "arm": name, "against": "plain"}
    given.plan["claims"] = [
        {**claim, "metric": "top1", "unit": "points", "testable": None},
        {**claim, "name": f"{name} 2", "metric": "top1", "unit": "points", "testable": name},
    ]
    for record in given.records:
        record["results"]["test"] |= {"class_correct": [440, 430], "confusion": [440, 9, 20, 430]}
    bad = given.of(name)[0]
    failing(bad, "crashed", name)
    bad["culprit"] |= dict.fromkeys(("plugin", "slot", "traceback"), name)
    for record in given.of(name):
        record["changes"] = [name]
        record["observables"] = {name: {"name": name, "value": 1.0}}
        if record["results"]["test"]:
            record["results"]["test"]["metrics"] = {name: 1.0}
    given.shared["session"] = {"command": name}
    given.shared["code"] = {"version": name, "commit": name}
    given.shared["pipeline-arm"] = name
    return given


@pytest.fixture(scope="module")
def cached() -> dict[str, Any]:
    return {}


@pytest.fixture
def board_of(inputs: Any, failing: Any, cached: dict[str, Any]) -> Any:
    """Return a function from a name to its board."""

    def make(name: str) -> dict[str, Any]:
        if name not in cached:
            given = hostile_inputs(inputs, failing, name)
            aside = [{"path": name, "reason": name}]
            cached[name] = build(given.plan, given.records, given.timings, aside, shared=given.shared)
        found: dict[str, Any] = cached[name]
        return found

    return make


def steers(text: str) -> list[str]:
    """Return the characters that could steer a terminal or turn a line round."""
    return sorted({character for character in text if not character.isprintable() and character != "\n"})


class Elements(html.parser.HTMLParser):
    """Counts elements, and keeps attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


DANGEROUS = (
    "script",
    "img",
    "iframe",
    "form",
    "base",
    "meta",
    "object",
    "embed",
    "template",
    "style",
    "svg",
    "link",
)


def test_no_element_or_attribute_of_the_page_comes_from_a_name(board_of: Any) -> None:
    tame = Elements(render.html(board_of("tame")))
    wanted = {(tag, key) for tag, key, _ in tame.attributes}
    for name in HOSTILE:
        page = render.html(board_of(name))
        wild = Elements(page)
        assert set(wild.tags) <= set(tame.tags), name
        assert {(tag, key) for tag, key, _ in wild.attributes} <= wanted, name
        for tag in DANGEROUS:
            assert wild.tags.count(tag) == tame.tags.count(tag), (name, tag)
        assert not [key for _, key, _ in wild.attributes if key.startswith("on")], name
        for _, key, value in wild.attributes:
            if key in ("href", "src", "action", "xlink:href"):
                assert (value or "").startswith(("#", "data:image/")), (name, value)
        assert steers(page) == [], name
        if len(name) < 60:
            shown = " ".join(" ".join(wild.text).split())
            assert " ".join(plain(name).split()) in shown, name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_chromium_runs_no_script_of_a_name(board_of: Any, inputs: Any, tmp_path: Path) -> None:
    # All names on one page, and its policy taken away: escaping alone has to hold.
    given = inputs({"plain": 0.0, **dict.fromkeys(HOSTILE, 0.1)}, replicates=2, epochs=3)
    given.plan |= {"verdicts": False, "verdicts_reason": HOSTILE[0]}
    given.shared |= {f"pipeline-{name}": name for name in HOSTILE}
    page = render.html(build(given.plan, given.records, given.timings, shared=given.shared))
    open_page = re.sub(r"<meta http-equiv=[^>]*Content-Security-Policy[^>]*>", "", page, flags=re.IGNORECASE)
    assert open_page != page
    control = open_page.replace("</h1>", f"</h1>{HOSTILE[0]}", 1)
    assert control != open_page
    assert "owned" in title_in_chromium(control, tmp_path / "control.html"), "the check itself cannot fail"
    assert title_in_chromium(open_page, tmp_path / "page.html") == title_of(page)


def title_of(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    assert found is not None
    return found[1]


def title_in_chromium(page: str, file: Path) -> str:
    file.write_text(page)
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]
    done = subprocess.run(
        [*command, f"--user-data-dir={file.with_suffix('')}", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return title_of(done.stdout)


def markdown_problems(text: str, name: str) -> list[str]:
    """Return what a Markdown library finds in a text besides our own tables, lists and folds."""
    markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py is not installed")
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    problems = []
    cells = columns = 0
    for token in parser.parse(text):
        if token.type == "thead_open":
            columns = 0
        elif token.type == "th_open":
            columns += 1
        elif token.type == "tr_open":
            cells = 0
        elif token.type == "td_open":
            cells += 1
        elif token.type == "tr_close" and cells not in (0, columns):
            problems.append(f"a row of {cells} cells under {columns}")
        elif token.type == "html_block":
            bare = re.sub(r"</?(details|summary)>", "", token.content)
            if "<" in bare:
                problems.append(f"HTML: {token.content[:80]}")
        elif token.type in ("fence", "code_block", "hr"):
            problems.append(token.type)
        for child in token.children or ():
            is_ours = child.type == "code_inline" and re.fullmatch(r"[\w?-]+", child.content)
            is_ours = is_ours or (child.type == "html_inline" and child.content == "<br>" and not name)
            if (
                child.type not in ("text", "strong_open", "strong_close", "softbreak", "text_special")
                and not is_ours
            ):
                problems.append(f"{child.type}: {child.content[:80]}")
    return problems


def cells_of(text: str) -> list[int]:
    """Return the number of cells in each row of every table: libraries drop those that are too many."""
    return [
        len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) - 1 for line in text.splitlines() if line.startswith("|")
    ]


def test_the_markdown_has_our_cells_and_nothing_from_a_name(board_of: Any) -> None:
    tame = render.markdown(board_of("tame"))
    lines = len(tame.splitlines())
    for name in HOSTILE:
        text = render.markdown(board_of(name))
        assert markdown_problems(text, name) == [], name
        assert len(text.splitlines()) == lines and cells_of(text) == cells_of(tame), name
        assert steers(text) == [], name
        assert not re.search(r"://|www\.|@(?!&#8203;)|(?<!&)#\d|\$", text), name


def test_the_name_itself_is_what_the_markdown_shows(board_of: Any) -> None:
    markdown_it = pytest.importorskip("markdown_it", reason="markdown-it-py is not installed")
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for name in HOSTILE:
        shown = [
            "".join(child.content for child in token.children)
            for token in parser.parse(render.markdown(board_of(name)))
            if token.type == "inline"
        ]
        flat = " ".join(" ".join(shown).replace("\u200b", "").split())
        assert " ".join(plain(name).split()) in flat, name


def test_the_csv_has_as_many_cells_everywhere_and_no_formula(board_of: Any) -> None:
    for name in HOSTILE:
        text = render.csv(board_of(name))
        head, *rows = csv.reader(io.StringIO(text))
        assert len(rows) == 2 and {len(row) for row in rows} == {len(head)}, name
        assert steers(text) == [], name
        for cell in (cell for row in (head, *rows) for cell in row):
            if cell.strip()[:1] in tuple("=+-@|%＝＋－＠−"):
                float(cell)  # a number, or it is a formula
        assert any(row[head.index("arm")] in (plain(name), f"'{plain(name)}") for row in rows), name


def test_the_json_reads_back_and_shows_every_character(board_of: Any) -> None:
    for name in HOSTILE:
        text = render.json(board_of(name))
        assert orjson.loads(text) == board_of(name), name
        assert steers(text) == [], name


LATEX = {
    "begin", "bottomrule", "caption", "centering", "char", "circ", "cdot", "Delta", "alpha", "downarrow", "end",
    "hspace", "label", "ldots", "leq", "geq", "linewidth", "midrule", "mu", "multicolumn", "par", "pm", "quad",
    "raggedright", "rlap", "scriptsize", "setlength", "small", "smallskip", "tabcolsep", "textbackslash", "textbar",
    "textbf", "textasciicircum", "textasciitilde", "textendash", "textgreater", "textheight", "textless",
    "textsuperscript", "texttt", "times", "toprule", "uparrow",
}  # fmt: skip


def test_the_latex_has_our_commands_alone_and_its_braces_balance(board_of: Any) -> None:
    tame = render.latex(board_of("tame"))
    for name in HOSTILE:
        text = render.latex(board_of(name))
        assert steers(text) == [], name
        body = text.partition("\n")[2]  # the first line is a comment of ours
        assert text.startswith("% needs ") and len(text.splitlines()) == len(tame.splitlines()), name
        bare = re.sub(r"\\[^A-Za-z]", "", body)
        assert set(re.findall(r"\\([A-Za-z]+)", bare)) <= LATEX, name
        assert re.findall(r"\\(?:begin|end){\w+}", bare) == re.findall(r"\\(?:begin|end){\w+}", tame), name
        assert not re.search(r"[%#^~]|(?<!\$)\$\$", bare), name
        depth = 0
        for character in bare:
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth >= 0, name
        assert depth == 0, name
        # Rows end with two backslashes, of which the name may hold any number: those are commands.
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        cells = [len(re.split(r"(?<!\\)&", row)) for row in rows]
        # Heading, baseline and an arm without a difference: one cell spans three columns. Then the claims.
        assert cells == [8, 8, 8, 6, 6, 6], name
        assert text.isascii(), name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_sets_every_name_and_reads_no_command_of_theirs(board_of: Any, tmp_path: Path) -> None:
    if subprocess.run(["kpsewhich", "adjustbox.sty"], capture_output=True, check=False).returncode != 0:
        pytest.skip("LaTeX's package adjustbox is not installed (texlive-latex-extra)")
    tables = "\\clearpage\n".join(render.latex(board_of(name)) for name in HOSTILE)
    packages = "\\usepackage{booktabs,adjustbox}"
    page = f"\\documentclass{{article}}{packages}\\begin{{document}}\n{tables}\\end{{document}}\n"
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-recorder", "page.tex"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "/etc/passwd" not in (tmp_path / "page.fls").read_text()


def test_the_model_index_keeps_its_shape(board_of: Any) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    for name in HOSTILE:
        text = render.model_index(board_of(name))
        found = [one for one in yaml.safe_load_all(text.removesuffix("---\n")) if one]
        models = {model["name"]: model for one in found for model in one["model-index"]}
        assert len(found) == 2, name
        assert set(models) == {"plain", plain(name)}, name
        (result,) = models[plain(name)]["results"]
        assert set(result) == {"task", "dataset", "metrics"}, name
        assert result["dataset"]["name"] == plain(name)
        assert {metric["verified"] for metric in result["metrics"]} == {False}, name
        assert steers(text) == [], name


def test_the_terminal_shows_the_names_and_obeys_none(board_of: Any) -> None:
    for name in HOSTILE:
        console = Console(
            width=4000, file=io.StringIO(), force_terminal=False, color_system=None, legacy_windows=False
        )
        console.print(render.terminal(board_of(name)))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert steers(text) == [], name
        assert plain(name)[:1000] in text.replace("\n", " ") or len(name) > 1000, name


def test_the_lines_of_a_run_obey_no_label(capsys: Any) -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    for name in HOSTILE:
        lines.finished(name, "crashed", 1.0, name)
    assert steers(stream.getvalue().replace("\t", "")) == []


def gate_report(name: str) -> dict[str, Any]:
    steady = [1.0 + 0.001 * (index % 5) for index in range(12)]
    slow = [1.1 * value for value in steady]
    side = {"label": name, "commit": name, "host": {"speed": {"cores": name}}}

    def measured(one: str, candidate: list[float], **more: Any) -> dict[str, Any]:
        return {
            "name": one,
            "kind": "time",
            "unit": "s",
            "base": steady,
            "candidate": candidate,
            "again": {"base": steady, "candidate": candidate},
            "margin": None,
            "failures": [],
            **more,
        }

    return gate.judge(
        {
            "schema": 1,
            "source": "commits",
            "advisory": False,
            "base": side,
            "candidate": side,
            "notes": [name],
            "measurements": [
                measured(f"{name} slow", slow),
                measured(f"{name} fine", steady),
                measured(f"{name} bad", slow, failures=[name]),
                {**measured(f"{name} new", steady), "base": []},
            ],
        }
    )


def test_the_gates_reports_keep_their_shape() -> None:
    tame = gate_report("tame")
    elements = [element.tag for element in ElementTree.fromstring(render_junit(tame)).iter()]
    for name in HOSTILE:
        report = gate_report(name)
        assert [element.tag for element in ElementTree.fromstring(render_junit(report)).iter()] == elements, (
            name
        )
        assert orjson.loads(render_json(report)) == report, name
        markdown = render_markdown(report)
        assert markdown_problems(markdown.replace("<br>", " "), name) == [], name
        assert len(markdown.splitlines()) == len(render_markdown(tame).splitlines()), name
        assert cells_of(markdown) == cells_of(render_markdown(tame)), name
        for text in (markdown, render_json(report), render_junit(report), render_text(report)):
            assert steers(text) == [], name


def test_comparisons_keep_their_shape(inputs: Any, failing: Any) -> None:
    def report_of(name: str) -> dict[str, Any]:
        given = hostile_inputs(inputs, failing, name)
        sides = [Given(name, given.plan, given.records, given.timings, given.shared) for _ in range(2)]
        found: dict[str, Any] = compare_results(*sides)
        return found

    tame = compare_markdown(report_of("tame"))
    for name in HOSTILE:
        report = report_of(name)
        markdown = compare_markdown(report)
        assert markdown_problems(markdown, name) == [], name
        assert len(markdown.splitlines()) == len(tame.splitlines()), name
        assert cells_of(markdown) == cells_of(tame), name
        assert steers(markdown) == [] and steers(compare_text(report)) == [], name
