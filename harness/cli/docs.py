"""What a component's docstring and source tell of it: its papers, when not to use it, its parameters, its slots."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass

WIDTH = 110

_NAME = r"[A-Z][\w'’-]+"
_AUTHORS = rf"{_NAME}(?: et al\.|(?:, {_NAME})* and {_NAME})?"
_YEAR = r"(?:19|20)\d\d"
_TITLE = r'"[^"]+"'
_PAPER = re.compile(
    rf"(?<![\w-])(?P<authors>{_AUTHORS})(?:"
    # Authors, "Title", ICLR 2018
    rf"(?:, (?P<title>{_TITLE}),? (?:{_NAME} )?(?P<last>{_YEAR}))|"
    # Authors 2018, "Title"; Authors, ICLR 2018; (Authors 2018)
    rf"(?:(?:, {_NAME})? \(?(?P<year>{_YEAR})\)?(?:, (?P<after>{_TITLE}))?))"
)
_NO_AUTHORS = frozenset({"In", "Since", "Until", "By", "From", "Of", "The", "ImageNet", "Python", "Version"})
_AGAINST = "When not to use it:"
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"])")
_METHODS = ("plan", "model", "scales")


@dataclass(frozen=True, slots=True)
class Told:
    """A docstring, taken apart.

    Attributes:
        text: What is left of it.
        papers: The papers that it names, with their titles where it gives them.
        not_for: When not to use it: the sentences that begin with "Not", and paragraphs that say so.
        parameters: By name, what the section "Attributes" says.
    """

    text: str
    papers: list[str]
    not_for: list[str]
    parameters: dict[str, str]


def take_apart(docstring: str) -> Told:
    """Take a component's docstring apart."""
    body, _, section = inspect.cleandoc(docstring).partition("\nAttributes:\n")
    papers: dict[str, str] = {}
    not_for: list[str] = []
    kept = []
    for paragraph in body.strip().split("\n\n"):
        whole = " ".join(paragraph.split())
        if whole.startswith(_AGAINST):
            not_for.append("Not " + whole.removeprefix(_AGAINST).strip())
            continue
        sentences = _SENTENCE.split(whole)
        against = [sentence for sentence in sentences if sentence.startswith("Not ")]
        not_for += against
        rest = " ".join(sentence for sentence in sentences if sentence not in against)
        papers |= {paper: title for paper, title in papers_in(rest).items() if title or paper not in papers}
        # Only what a sentence was taken from is wrapped anew: formulas keep their lines.
        kept.append(textwrap.fill(rest, WIDTH) if against else paragraph)
    named = [f"{paper}, {title}" if title else paper for paper, title in papers.items()]
    return Told("\n\n".join(part for part in kept if part), named, not_for, _parameters(section))


def papers_in(text: str) -> dict[str, str]:
    """Return the papers that a text names, as `Zhang et al. 2018`, with their titles in quotes, or without one."""
    found: dict[str, str] = {}
    for match in _PAPER.finditer(text):
        authors = match["authors"]
        if authors in _NO_AUTHORS or authors.isupper():
            continue  # a venue, or a word at a sentence's begin
        title = match["title"] or match["after"] or ""
        found[f"{authors} {match['last'] or match['year']}"] = title
    return found


def _parameters(section: str) -> dict[str, str]:
    """Return by name what a section "Attributes" says; continued lines are indented further."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc("\n" + section).splitlines():
        if not line.strip():
            break
        if line[0].isspace() and names:
            for name in names:
                found[name] += " " + line.strip()
            continue
        head, _, text = line.partition(":")
        names = [name.strip() for name in head.split(",")]
        found |= dict.fromkeys(names, text.strip())
    return found


def slots_of(component: type) -> list[str]:
    """Return what a trick gives, in the order of its source: methods beside `bind`, and the slots that it fills.

    Read from the source, for binding it would take a model: the keywords of the calls of `Slots` in its class, or,
    where the class calls others to make them, in its module.
    """
    given = [name for name in _METHODS if any(name in vars(base) for base in component.__mro__[:-2])]
    module = inspect.getmodule(component)
    try:
        tree = ast.parse(inspect.getsource(module)) if module is not None else ast.parse("")
    except OSError:  # no source to read
        return given
    own = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == component.__name__]
    slots = [slot for node in own for slot in _filled(node)] or _filled(tree)
    return list(dict.fromkeys([*given, *slots]))


def _filled(tree: ast.AST) -> list[str]:
    return [
        keyword.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Slots"
        for keyword in node.keywords
        if keyword.arg
    ]
