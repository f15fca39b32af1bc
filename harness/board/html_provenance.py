"""How a board was made, in words: the rules of its verdicts, its data, the state of the harness, the machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.board.data_words import sizes
from harness.board.markup import tag
from harness.board.wording import counted

Json = Mapping[str, Any]
Facts = list[tuple[str, str]]

_FIRST_LIBRARIES = ("torch", "torchvision", "timm", "numpy")
"""Libraries that are told first: they decide most of a result."""


def provenance(board: Json) -> Markup:
    """Return the facts about a board as a list, and the commands that make it again."""
    facts = [
        ("Suite", str(board["suite"])),
        ("Plan", str(board["plan"])),
        ("Protocol", str(board["protocol"])),
        *_rules(board["settings"]),
        *(("Data", data_in_words(entry)) for entry in board["data"]),
        *(("Harness", code_in_words(entry)) for entry in board["code"]),
    ]
    for host in board["hosts"]:
        facts += [("Machine", host_in_words(host)), ("Libraries", libraries_in_words(host))]
    rows = [tag("div", tag("dt", name), tag("dd", told)) for name, told in facts if told]
    return (
        tag("dl", *rows, class_="wide")
        + tag("h3", "Reproduce")
        + tag("pre", "\n".join(board["reproduce"]), tabindex="0")
    )


def _rules(settings: Json) -> Facts:
    """Return the settings that decide verdicts; what a plan does not say is left out."""

    def told(key: str, words: str, digits: int | None = None) -> list[str]:
        value = settings.get(key)
        if value is None:
            return []
        return [words.format(value if digits is None else _short(value, digits))]

    family, speed = settings.get("family"), settings.get("speed_margin")
    verdicts = told("alpha", "level α = {}") + (
        [] if family is None else [f"a family of {counted(family, 'arm')}"]
    )
    verdicts += told("needed_replicates", "at least {} pairs before any difference could be significant")
    margins = told("margin_points", "better or worse beyond {} points", 2)
    margins += told("equal_margin_points", "equal within {} points", 2)
    margins += told("non_inferiority_points", "non-inferior where less than {} points are lost", 2)
    for words, margin in (("faster or slower", speed), ("smaller or larger", settings.get("memory_margin"))):
        margins += [] if margin is None else [f"{words} beyond {_short(100 * margin, 2)} %"]
    runs = [] if settings.get("replicates") is None else [counted(settings["replicates"], "replicate")]
    runs += told("seed", "from seed {}") + told("timing_rounds", "timing rounds: {}")
    return [("Verdicts", ", ".join(verdicts)), ("Margins", "; ".join(margins)), ("Runs", ", ".join(runs))]


def data_in_words(entry: Json) -> str:
    """Return `digits: 10 classes, 1,000 training and 450 test images, licence CC BY 4.0, hash 1a2b`."""
    parts = [f"{entry['classes']:,} classes"] if entry.get("classes") else []
    parts += [images] if (images := sizes(entry)) else []
    parts += [f"licence: {entry['licence']}"] if entry.get("licence") else []
    parts += [f"hash {entry['hash']}"] if entry.get("hash") else []
    return f"{entry.get('dataset') or 'data'}: {', '.join(parts)}"


def code_in_words(code: Any) -> str:
    """Return `version 0.1.0, commit 1a2b, no uncommitted changes, engine 3c4d`."""
    if not isinstance(code, Mapping):
        return str(code)
    parts = [f"version {code['version']}"] if code.get("version") else []
    parts += [f"commit {code['commit']}"] if code.get("commit") else ["no checkout, so no commit is known"]
    if code.get("dirty") is not None:
        parts.append(
            f"with changes that no commit holds ({code.get('diff')})"
            if code["dirty"]
            else "no uncommitted changes"
        )
    parts += [f"engine {code['engine']}"] if code.get("engine") else []
    return ", ".join(parts)


def host_in_words(host: Any) -> str:
    """Return `AMD EPYC, 2 cores, 24 GiB of memory, no GPU, Linux x86_64 (kernel 6.18), Python 3.11.7`."""
    if not isinstance(host, Mapping):
        return str(host)
    accuracy, speed, shown = (_part(host, key) for key in ("accuracy", "speed", "shown"))
    parts = [str(accuracy["cpu"])] if accuracy.get("cpu") else []
    cores, usable = speed.get("cores"), speed.get("usable_cores")
    if cores is not None:
        parts.append(
            f"{counted(cores, 'core')}"
            + (f", {usable} of them usable" if usable not in (None, cores) else "")
        )
    if isinstance(memory := speed.get("memory_bytes"), (int, float)):
        parts.append(f"{memory / 2**30:.0f} GiB of memory")
    parts.append(_graphics(accuracy.get("gpu"), speed.get("gpus")))
    parts += [f"driver {speed['driver']}"] if speed.get("driver") else []
    system = " ".join(str(accuracy[key]) for key in ("system", "machine") if accuracy.get(key))
    parts += [system + (f" (kernel {speed['kernel']})" if speed.get("kernel") else "")] if system else []
    parts += [f"Python {accuracy['python']}"] if accuracy.get("python") else []
    parts += [f"host {shown['host']}"] if shown.get("host") else []
    return ", ".join(filter(None, parts))


def libraries_in_words(host: Any) -> str:
    """Return the versions of the libraries, those that decide most first; empty where none is known."""
    libraries = _part(_part(host, "accuracy"), "libraries")
    first = [name for name in _FIRST_LIBRARIES if name in libraries]
    names = [*first, *sorted(name for name in libraries if name not in first)]
    return ", ".join(f"{name} {libraries[name]}" for name in names)


def _graphics(models: Any, cards: Any) -> str:
    """Return `2 × NVIDIA H200 (141 GiB, 700 W)`, or that there is none."""
    if not isinstance(cards, Sequence) or not cards:
        known = (
            models
            if isinstance(models, Sequence) and not isinstance(models, str)
            else [models]
            if models
            else []
        )
        return ", ".join(map(str, known)) or ("no GPU" if models is not None or cards is not None else "")
    told: dict[str, int] = {}
    for card in cards:
        told[_card(card)] = told.get(_card(card), 0) + 1
    return ", ".join(card if count == 1 else f"{count} × {card}" for card, count in told.items())


def _card(card: Any) -> str:
    if not isinstance(card, Mapping):
        return str(card)
    size, power = card.get("memory_mib"), card.get("power_limit_watts")
    more = [f"{size / 1024:.0f} GiB"] if isinstance(size, (int, float)) else []
    more += [f"{power} W"] if power is not None else []
    return f"{card.get('model') or 'GPU'}" + (f" ({', '.join(more)})" if more else "")


def _part(value: Any, key: str) -> Json:
    part = value.get(key) if isinstance(value, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _short(value: float, digits: int) -> str:
    """Return a number with at most so many decimals, and never 0 for what is more."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return f"{value:.2g}" if text == "0" and value else text
