"""Hashes of what a source means: comments, docstrings and layout do not count."""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import PluginError
from harness.registry.digests import digest_bytes, digest_json
from harness.registry.entry import FIRST_PARTY, Entry

_LEFT_OUT = frozenset({"ctx", "type_comment", "type_ignores", "kind"})


def source_digest(entry: Entry) -> str:
    """Return the hash of what a component's source means: comments, docstrings and layout do not count.

    A third party's digest covers every Python file of its distribution. A first-party component's covers its
    own module and the modules of the same package that it imports, a plugin file's that file; so an edit
    re-runs the arms that it may touch, and no others.

    Raises:
        PluginError: Where the source cannot be found.
    """
    return digest_json(sorted((name, _meaning(path.read_bytes())) for name, path in _files(entry).items()))


@functools.lru_cache(maxsize=4096)
def _meaning(source: bytes) -> str:
    try:
        return text_digest(source)
    except (SyntaxError, ValueError):
        return digest_bytes(source)  # a template, or another Python's syntax: its bytes have to do


def text_digest(source: str | bytes) -> str:
    """Return the hash of a module's syntax tree without docstrings, positions and comments.

    The walk is our own because `ast.dump` differs between Python 3.11, 3.12 and 3.13. Absent fields are left
    out, so that a field which a later Python adds changes nothing while it is empty.

    Raises:
        SyntaxError: Where the source is not Python.
    """
    digest = hashlib.blake2b(digest_size=16)
    stack: list[Any] = [ast.parse(source)]
    while stack:  # no recursion: a long sum nests as deep as it is long
        item = stack.pop()
        if isinstance(item, str):
            digest.update(item.encode("utf-8", "surrogatepass") + b"\n")
        else:
            stack.extend(reversed(_parts(item)))
    return digest.hexdigest()


def _parts(node: ast.AST) -> list[Any]:
    parts: list[Any] = ["(" + type(node).__name__]
    for field, value in sorted(ast.iter_fields(node)):
        if field in _LEFT_OUT or value is None or value == []:
            continue
        parts.append("." + field)
        if isinstance(value, list):
            parts.append("[")
            parts.extend(part if isinstance(part, ast.AST) else _atom(part) for part in _members(node, value))
            parts.append("]")
        else:
            parts.append(value if isinstance(value, ast.AST) else _atom(value))
    return [*parts, ")"]


def _members(node: ast.AST, values: list[Any]) -> Iterator[Any]:
    if not isinstance(node, ast.JoinedStr):
        yield from (v for v in values if not _is_bare_string(v))
        return
    # Pythons differ in where they cut the literal text of an f-string: joined, it is the same.
    text = ""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text += value.value
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield value
    if text:
        yield ast.Constant(text)


def _is_bare_string(value: object) -> bool:
    """A string that stands alone as a statement does nothing, wherever it stands: a docstring."""
    is_constant = isinstance(value, ast.Expr) and isinstance(value.value, ast.Constant)
    return is_constant and isinstance(value.value.value, str)  # type: ignore[attr-defined]


def _atom(value: object) -> str:
    return f"{type(value).__name__}:{value!r}"


def _files(entry: Entry) -> dict[str, Path]:
    """Return the files that an entry's digest covers, by a name that is the same on every machine."""
    if entry.distribution is None:
        files = {"": Path(entry.source)}
        if isinstance(entry.target, str):
            module = entry.target.split(":")[0]
            files[module] = _module_file(module, entry)
        return files
    module = entry.target.split(":")[0] if isinstance(entry.target, str) else entry.target.__module__
    if entry.distribution == FIRST_PARTY:
        return _closure(module, entry)
    return _distribution_files(module, entry)


def _module_file(module: str, entry: Entry) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise PluginError(f'{entry.kind} "{entry.full_name}": {module} cannot be found: {error}') from error
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise PluginError(f'{entry.kind} "{entry.full_name}": {module} has no Python source')
    return Path(spec.origin)


def _closure(module: str, entry: Entry) -> dict[str, Path]:
    """Return a module's file and those of its own package that it imports, directly or not."""
    files: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in files:
            files[name] = _module_file(name, entry)
            waiting += _imports(name, files[name])
    return files


def _imports(module: str, file: Path) -> list[str]:
    top = module.split(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from . import x` counts from the package that the module is in.
            base = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found += [f"{source}.{alias.name}" for alias in node.names] + [source]
    return [name for name in found if name.startswith(f"{top}.") and _is_module(name)]


def _is_module(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except ImportError:  # the name of a function: what stands before it is no package
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).name != "__init__.py"


@functools.lru_cache(maxsize=64)
def _recorded_files(distribution: str) -> dict[str, Path]:
    try:
        files = importlib.metadata.distribution(distribution).files or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    sources = {str(file): Path(str(file.locate())) for file in files if file.suffix == ".py"}
    return {name: path for name, path in sources.items() if path.is_file()}


def _distribution_files(module: str, entry: Entry) -> dict[str, Path]:
    own = _module_file(module, entry)
    files = _recorded_files(entry.distribution or "")
    if any(path.resolve() == own.resolve() for path in files.values()):
        return files
    # An editable install records its finder only: what stands under the module's top package, then.
    top = _module_file(module.split(".")[0], entry) if "." in module else own
    if top.name != "__init__.py":
        return {top.name: top}
    return {path.relative_to(top.parent).as_posix(): path for path in sorted(top.parent.rglob("*.py"))}
