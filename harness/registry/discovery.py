"""Which plugins there are: a loop of our own over the entry points, and the files that a suite names.

Not pluggy's `load_setuptools_entrypoints`: it stops at the first ImportError, and of two distributions with
one entry-point name it silently skips the second.
"""

import contextlib
import importlib.metadata
import re
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.contract import KINDS
from harness.errors import PluginError, nearest
from harness.registry.classes import check_class
from harness.registry.digests import digest_bytes
from harness.registry.entry import FIRST_PARTY, Entry, normalised
from harness.registry.hooks import check_hooks, new_manager
from harness.registry.messages import listed, quote, reason, traceback_end
from harness.registry.registry import Registry

GROUP = "harness.plugins"
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*:?")


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a plugin comes from: `label` names it, `source` goes into its entries."""

    label: str
    source: str
    distribution: str | None
    version: str | None

    def full_name(self, name: str) -> str:
        is_bare = self.distribution is None or self.distribution == FIRST_PARTY
        return name if is_bare else f"{self.distribution}/{name}"


class Scratch:
    """What one plugin offers, collected apart, so that it is taken whole or not at all."""

    def __init__(self, origin: _Origin) -> None:
        self.entries: list[Entry] = []
        self._origin = origin

    def add(
        self, kind: str, name: str, target: str | type, *, summary: str, preload: Sequence[str] = ()
    ) -> None:
        """Offer a component (see `harness.contract.RegistryView`).

        Raises:
            PluginError: For an unknown kind, a name that is no name, a name offered twice, a target
                that is neither "package.module:Class" nor a fit class, or a summary of no or many lines.
        """
        if kind not in KINDS:
            raise PluginError(
                f"there is no kind {quote(str(kind))}{nearest(str(kind), KINDS)} (kinds: {listed(KINDS)})"
            )
        if not isinstance(name, str) or len(name) > 64 or not _NAME.fullmatch(name):
            raise PluginError(
                f"{quote(str(name))} is no name: lower case words joined by hyphens, with a colon at the "
                "end for a family"
            )
        if any(entry.kind == kind and entry.name == name for entry in self.entries):
            raise PluginError(f'offers the {kind} "{name}" twice')
        if not isinstance(summary, str) or not summary.strip() or not summary.isprintable():
            raise PluginError(f'the summary of {kind} "{name}" must be one line of text')
        if isinstance(target, type):
            check_class(target, kind, name)
        elif not isinstance(target, str) or target.count(":") != 1 or not all(target.split(":")):
            raise PluginError(f'the target of {kind} "{name}" must be "package.module:Class" or a class')
        origin = self._origin
        self.entries.append(
            Entry(
                kind=kind,
                name=name,
                full_name=origin.full_name(name),
                source=origin.source,
                distribution=origin.distribution,
                version=origin.version,
                target=target,
                summary=summary.strip(),
                preload=tuple(preload),
            )
        )


def discover(files: Sequence[Path] = (), *, allow: str | None = None) -> Registry:
    """Return the registry of what is installed and of what `files` offer.

    A plugin that cannot be loaded is listed as a broken entry of kind "plugin" and disturbs no other.

    Args:
        files: Plugin files that a suite names. They are loaded whatever `allow` says.
        allow: `HARNESS_PLUGINS`: entry-point or distribution names joined by commas, "none", or None for all.

    Raises:
        PluginError: Where `allow` names what is not installed.
    """
    manager = new_manager()
    committed: dict[tuple[str, str], Entry] = {}
    broken: list[Entry] = []

    def take(origin: _Origin, load: Callable[[], object]) -> None:
        try:
            # What a plugin prints may not end up in a command's JSON.
            with contextlib.redirect_stdout(sys.stderr):
                plugin = load()
                check_hooks(plugin)
                entries = _offered(plugin, origin)
            for entry in entries:
                _check_free(entry, committed)
            manager.register(plugin, name=f"{origin.label} ({origin.source})")
        except KeyboardInterrupt:
            raise
        except (
            BaseException
        ) as error:  # a plugin may call sys.exit, and some extensions panic with a BaseException
            summary = str(error) if isinstance(error, PluginError) else reason(error)
            broken.append(
                Entry(
                    kind="plugin",
                    name=origin.label,
                    full_name=origin.label,
                    source=origin.source,
                    distribution=origin.distribution,
                    version=origin.version,
                    target="",
                    summary=summary,
                    status="broken",
                    error=str(error) if isinstance(error, PluginError) else traceback_end(error),
                )
            )
        else:
            committed.update(((entry.kind, entry.full_name), entry) for entry in entries)

    for point in _chosen(_installed(), allow):
        take(_origin(point), point.load)
    for file in files:
        path = Path(file).resolve()
        take(_Origin(path.name, str(path), None, None), lambda path=path: load_file(path))  # type: ignore[misc]
    return Registry([*committed.values(), *broken], manager, allow=allow)


def load_file(path: Path) -> types.ModuleType:
    """Return a plugin file as a module, under a name that no other path or content has.

    It is compiled from its text: a cached .pyc is told by time and size only, so that one digit edited
    within a second would run the old code under the new digest.

    Raises:
        PluginError: Where the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PluginError(f"cannot read {path}: {error.strerror}") from error
    name = "harness_file_" + digest_bytes(bytes(path) + b"\0" + data)
    if name in sys.modules:
        return sys.modules[name]
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses looks its class's module up there
    try:
        exec(compile(data, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _installed() -> list[importlib.metadata.EntryPoint]:
    points = importlib.metadata.entry_points(group=GROUP)
    return sorted(points, key=lambda p: ((d := _origin(p).distribution or "") != FIRST_PARTY, d, p.name))


def _origin(point: importlib.metadata.EntryPoint) -> _Origin:
    # An entry point without a distribution cannot be told from a stranger's: its module stands in for the name.
    name = normalised(point.dist.name if point.dist else point.module.split(".")[0])
    return _Origin(point.name, name, name, point.dist.version if point.dist else None)


def _chosen(
    points: list[importlib.metadata.EntryPoint], allow: str | None
) -> list[importlib.metadata.EntryPoint]:
    if allow is None or not allow.strip():
        return points
    if allow.strip().lower() == "none":
        return []
    wanted = {word.strip() for word in allow.split(",") if word.strip()}
    names = {point: {point.name, _origin(point).source} for point in points}
    for word in sorted(wanted):
        known = sorted(set().union(*names.values()))
        if word not in known and normalised(word) not in known:
            raise PluginError(
                f"HARNESS_PLUGINS names {quote(word)}, which is not installed{nearest(word, known)} "
                f"(installed: {listed(known)})"
            )
    wanted |= {normalised(word) for word in wanted}
    return [point for point in points if names[point] & wanted]


def _offered(plugin: object, origin: _Origin) -> list[Entry]:
    scratch = Scratch(origin)
    manager = new_manager()
    manager.register(plugin)
    manager.check_pending()
    manager.hook.harness_register(registry=scratch)
    return scratch.entries


def _check_free(entry: Entry, committed: dict[tuple[str, str], Entry]) -> None:
    other = committed.get((entry.kind, entry.full_name))
    if other is not None:
        raise PluginError(f'the {entry.kind} "{entry.full_name}" is offered by {other.source} already')
