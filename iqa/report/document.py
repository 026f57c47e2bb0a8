"""The document model: what a report says, before anybody decides how it looks.

A cell or a paragraph is a tuple of atoms. Every atom that carries a value names the runs it came from, so that a
renderer can link it, a csv can list it and a checker can recompute it.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MINUS = "\N{MINUS SIGN}"
TO_FILL = "to fill: "  # before the command that fills a hole


@dataclass(frozen=True)
class Text:
    """Words, or a value that is not a number (`runs` then says whose it is)."""

    text: str
    runs: tuple[str, ...] = ()
    code: bool = False
    strong: bool = False


@dataclass(frozen=True)
class Number:
    """One or several values that are read together, such as a mean and its spread.

    template: str.format with the values by position, e.g. "{0:.3f} ± {1:.3f}"; what: key and computation, for the
    tooltip and the csv; parts: a name for each value but a lone one, used as csv columns.
    """

    values: tuple[float, ...]
    template: str
    runs: tuple[str, ...]
    what: str
    parts: tuple[str, ...] = ("",)
    scale: float = 1.0  # shown = value × scale, e.g. 100 for a percentage

    def __post_init__(self) -> None:
        assert self.runs, f"{self.what} names no run"
        assert len(self.parts) == len(self.values), f"{self.what}: {self.parts} for {self.values}"
        assert all(math.isfinite(value) for value in self.values), f"{self.what} is undefined, not {self.values}"

    @property
    def text(self) -> str:
        return self.template.format(*(value * self.scale for value in self.values)).replace("-", MINUS)


@dataclass(frozen=True)
class Quoted:
    """Somebody else's published number: no run of ours produced it, and the text says so beside it."""

    text: str
    source: str


@dataclass(frozen=True)
class Missing:
    """A value whose run has not finished: the command that would fill it."""

    command: str


@dataclass(frozen=True)
class Undefined:
    """A value that its run could not define, with the reason as a sentence."""

    reason: str
    runs: tuple[str, ...] = ()


Atom = Text | Number | Quoted | Missing | Undefined
Cell = tuple[Atom, ...]


@dataclass(frozen=True)
class Paragraph:
    """A sentence or a list item made of atoms."""

    parts: Cell
    kind: str = "text"  # text | item | note


@dataclass(frozen=True)
class Code:
    """Lines to copy: into a shell, unless the language says otherwise. fold: collapsed until opened."""

    text: str
    language: str = "bash"
    fold: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells. `stack`: a narrow screen shows each row as a card instead of scrolling sideways."""

    name: str
    caption: Cell
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    stack: bool = False
    fold: bool = False  # collapsed until opened: long tables

    def __post_init__(self) -> None:
        for row in self.rows:
            assert len(row) == len(self.columns), f"table {self.name}: {len(row)} cells under {self.columns}"


@dataclass(frozen=True)
class Panel:
    """One picture: PNG bytes and the text that stands for it where it cannot be seen."""

    name: str
    png: bytes
    alt: str


@dataclass(frozen=True)
class Figure:
    """Panels that share a caption, the data behind them and the runs that made the data."""

    name: str
    caption: str
    panels: tuple[Panel, ...]
    header: tuple[str, ...]
    data: tuple[tuple[object, ...], ...]
    runs: tuple[str, ...]


Block = Paragraph | Code | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading, what stands under it, and its subsections."""

    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Document:
    """The whole report. banner: what a reader has to know before the first number ("" = nothing)."""

    title: str
    banner: str
    headline: Cell
    sections: tuple[Section, ...]


def say(*parts: str | Atom) -> Cell:
    """Atoms from strings and atoms, to write a sentence with numbers in it."""
    return tuple(Text(part) if isinstance(part, str) else part for part in parts)


def slug(name: str) -> str:
    """A name as part of a file name or a metric's key."""
    return (
        "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in name).strip("-") or "x"
    )


def walk(sections: Iterable[Section]) -> Iterator[Block]:
    """Every block, in reading order."""
    for section in sections:
        yield from section.blocks
        yield from walk(section.sections)


def cells(document: Document) -> Iterator[Cell]:
    """Every cell and sentence of the document, in reading order."""
    yield document.headline
    for block in walk(document.sections):
        if isinstance(block, Paragraph):
            yield block.parts
        elif isinstance(block, Table):
            yield block.caption
            yield from (cell for row in block.rows for cell in row)


def numbers(document: Document) -> list[Number]:
    """Every number in the document, in reading order."""
    return [atom for cell in cells(document) for atom in cell if isinstance(atom, Number)]


def missing(document: Document) -> tuple[str, ...]:
    """The commands that would fill the report's holes, each once, in reading order."""
    return tuple(dict.fromkeys(atom.command for cell in cells(document) for atom in cell if isinstance(atom, Missing)))


def plain(cell: Cell) -> str:
    """A cell as bare text, for a console or a csv."""
    return "".join(lead + _plain(atom) for lead, atom in led(cell))


def led(cell: Cell) -> Iterator[tuple[str, Atom]]:
    """Atoms, each with what stands before it: a hole is set off from a value, and several say once what they are."""
    before: Atom = Text("")
    for atom in cell:
        lead = ""
        if isinstance(atom, Missing):
            apart = _plain(before) and not _plain(before).endswith(" ")
            lead = "; " * bool(apart) + TO_FILL * (not isinstance(before, Missing))
        yield lead, atom
        before = atom


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated text with floats at full precision and the same bytes everywhere."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([repr(float(value)) if isinstance(value, float) else value for value in row] for row in rows)
    return lines.getvalue()


def table_csv(table: Table) -> str:
    """A table at full precision: a column for each part of its numbers; then what would fill it, and its runs."""
    spread = [_parts(table, column) for column in range(len(table.columns))]
    header = [f"{name} {part}".strip() for name, parts in zip(table.columns, spread, strict=True) for part in parts]
    lines = []
    for row in table.rows:
        values = [value for cell, parts in zip(row, spread, strict=True) for value in _values(cell, parts)]
        atoms = [atom for cell in row for atom in cell]
        commands = dict.fromkeys(atom.command for atom in atoms if isinstance(atom, Missing))
        runs = dict.fromkeys(run for atom in atoms for run in runs_of(atom))
        lines.append([*values, "; ".join(commands), " ".join(runs)])
    return csv_text([*header, "to fill", "runs"], lines)


def runs_of(atom: Atom) -> tuple[str, ...]:
    """The runs that an atom came from; none for plain words."""
    return () if isinstance(atom, Quoted | Missing) else atom.runs


def _parts(table: Table, column: int) -> tuple[str, ...]:
    """The csv columns that a table's column becomes: the parts of its numbers, in the order of their appearance.

    A number without a part has a column of its own only where a cell holds others beside it.
    """
    found = [[part for part, _ in _numbers(row[column])] for row in table.rows]
    named = [part for cell in found for part in cell if part or len(cell) > 1]
    return tuple(sorted(dict.fromkeys(named), key=bool)) or ("",)


def _values(cell: Cell, parts: tuple[str, ...]) -> list[object]:
    """A cell's values under the columns `parts`; words, and a number without a part, stand in the first."""
    found = dict(_numbers(cell))
    if not found:
        words = plain(tuple(atom for atom in cell if not isinstance(atom, Missing)))
        return [words, *[""] * (len(parts) - 1)]
    lone = found.get("", "")
    return [found.get(part, lone if at == 0 else "") for at, part in enumerate(parts)]


def _numbers(cell: Cell) -> list[tuple[str, float]]:
    """(part, value) of a cell's numbers; of those whose part was there before, the part is numbered: "2 mean"."""
    numbers = [atom for atom in cell if isinstance(atom, Number)]
    pairs = [pair for number in numbers for pair in zip(number.parts, number.values, strict=True)]
    times: Counter[str] = Counter()
    named = []
    for part, value in pairs:
        times[part] += 1
        named.append((part if times[part] == 1 else f"{times[part]} {part}".strip(), value))
    return named


def _plain(atom: Atom) -> str:
    if isinstance(atom, Missing):
        return atom.command
    return f"undefined: {atom.reason}" if isinstance(atom, Undefined) else atom.text
