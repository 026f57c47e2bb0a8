"""SPAQ (Fang et al., CVPR 2020): 11,125 photographs from smartphones."""

import zipfile
from pathlib import Path
from xml.etree import ElementTree

from iqa.datasets.assembly import Entry, Listing
from iqa.datasets.manifest import DataError
from iqa.datasets.published import Published, by_column, entries, pictures

TREE = "TestImage/ and Annotations/MOS and Image attribute scores.xlsx"
RANGE = (0.0, 100.0)
_MAX_BYTES = 100_000_000  # of one part of the workbook, unpacked: the published one has about 3 MB
_NS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def read(annotations: Path, seen: bool = True) -> Listing:
    """The workbook's columns `Image name` and `MOS`."""
    header, lines = cells(annotations)
    rows, faults = by_column(annotations, header, lines, ("Image name", "MOS"))
    tree = pictures(annotations.parent, ("TestImage",), TREE, seen)
    found, more = entries(rows, tree, ("Image name", "MOS"), RANGE, lambda path, opinion, _: Entry(path, opinion))
    notes = ["scores are MOS on 0–100"]
    return Listing("spaq", Path(tree.inside), annotations, found, RANGE, faults=faults + more, notes=notes)


def cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (row number, fields) of a workbook's first sheet, without a package for it: xlsx is XML in a zip."""
    try:
        with zipfile.ZipFile(path) as book:
            shared = _shared(book)
            grid = [_fields(row, shared) for row in _xml(book, "xl/worksheets/sheet1.xml").iter(f"{_NS}row")]
    except (zipfile.BadZipFile, OSError, KeyError, IndexError, ValueError, ElementTree.ParseError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as the published workbook ({error}): unpack it again") from error
    rows = [(number, fields) for number, fields in grid if any(fields)]
    if len(rows) < 2:
        raise DataError(f"{path} holds no rows: use the workbook as it is published")
    width = len(rows[0][1])
    return rows[0][1], [(number, (fields + [""] * width)[: max(width, len(fields))]) for number, fields in rows[1:]]


def _xml(book: zipfile.ZipFile, part: str) -> ElementTree.Element:
    if book.getinfo(part).file_size > _MAX_BYTES:
        raise DataError(f"{book.filename} unpacks to more than {_MAX_BYTES:,} bytes: use the workbook as published")
    return ElementTree.fromstring(book.read(part))


def _shared(book: zipfile.ZipFile) -> list[str]:
    """The strings that cells refer to by number."""
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    items = _xml(book, "xl/sharedStrings.xml").iter(f"{_NS}si")
    return ["".join(text.text or "" for text in item.iter(f"{_NS}t")) for item in items]


def _fields(row: ElementTree.Element, shared: list[str]) -> tuple[int, list[str]]:
    """A row's number and its values as text, empty cells included."""
    fields: list[str] = []
    for cell in row.iter(f"{_NS}c"):
        column = _column(cell.get("r", ""), len(fields))
        value = cell.findtext(f"{_NS}v", default="")
        if cell.get("t") == "s":
            value = shared[int(value)]
        elif cell.get("t") == "inlineStr":
            value = "".join(text.text or "" for text in cell.iter(f"{_NS}t"))
        fields += [""] * (column - len(fields)) + [value]
    return int(row.get("r", "0")), fields


def _column(reference: str, following: int) -> int:
    """'B7' → 1; without a reference the cell follows the one before it."""
    number = 0
    for letter in reference:
        if letter.isalpha():
            number = number * 26 + ord(letter.upper()) - ord("A") + 1
    return number - 1 if 0 < number <= 16_384 else following


SET = Published(
    "spaq",
    "SPAQ",
    "https://github.com/h4nwei/SPAQ",
    TREE,
    ("MOS and Image attribute scores.xlsx",),
    11_125,
    read,
)
