"""Which code a stage's result depends on, and its identity: syntax trees, not text."""

import ast
import hashlib
import re
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from iqa import disk

PACKAGE = Path(__file__).parent.parent


@cache
def digest(stage: str) -> str:
    """SHA-256 over the syntax trees, without docstrings, of every module of iqa that a stage imports.

    Comments, layout and docstrings may change without making a finished cell stale. Found once for the same sources,
    byte by byte, and kept.
    """
    file = disk.cache_folder() / "code" / f"{stage}-{sources()}"
    with suppress(OSError):
        known = file.read_text(encoding="ascii", errors="replace")
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    hasher = hashlib.sha256()
    for module in sorted(modules(PACKAGE / "stages" / f"{stage}.py")):
        hasher.update(f"{module.relative_to(PACKAGE)}\n{read(module)[0]}\n".encode())
    with suppress(OSError):  # a disk that takes nothing: it is found again
        file.parent.mkdir(parents=True, exist_ok=True)
        with disk.whole(file, shared=True) as out:
            out.write(hasher.hexdigest())
    return hasher.hexdigest()


@cache
def sources() -> str:
    """SHA-256 over iqa's sources as they are, and the Python that would make trees of them."""
    hasher = hashlib.sha256(sys.version.encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        content = file.read_bytes()
        hasher.update(f"{file.relative_to(PACKAGE)} {len(content)}\n".encode() + content)
    return hasher.hexdigest()


def modules(file: Path) -> set[Path]:
    """The file and everything inside iqa that it imports, at whatever depth."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += read(module)[1]
    return found


@cache  # the stages share most of their modules
def read(file: Path) -> tuple[str, list[Path]]:
    """A module's syntax tree without docstrings, as text, and the files of iqa that it imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return ast.dump(stripped(tree)), imported(tree, file)


def imported(tree: ast.Module, file: Path) -> list[Path]:
    """The files of iqa that a module's import statements name, function-level ones included."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inside = file.relative_to(PACKAGE.parent).parent.parts[: None if node.level < 2 else 1 - node.level]
            origin = ".".join([*(inside if node.level else ()), *([node.module] if node.module else [])])
            names += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    return [path for name in names if name.split(".")[0] == "iqa" for path in located(name)]


def located(name: str) -> list[Path]:
    """iqa.x.y → its file, and the __init__ of each package on the way; [] for a name inside a module."""
    parts = name.split(".")
    path = PACKAGE.parent.joinpath(*parts)
    files = [PACKAGE.parent.joinpath(*parts[: i + 1], "__init__.py") for i in range(len(parts))]
    return [file for file in [*files, path.with_suffix(".py")] if file.is_file()]


def stripped(tree: ast.Module) -> ast.Module:
    """The tree without its docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return tree
