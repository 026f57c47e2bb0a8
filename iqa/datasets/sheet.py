"""A csv of unknown make → image names and numbers, with every guess said and every fault collected."""

import codecs
import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from iqa import images
from iqa.datasets.manifest import DataError
from iqa.datasets.splits import WORDS

# Header names, letters and digits only, most telling first. DMOS is no candidate: it usually means lower is better.
IMAGE = (
    *("image", "imagename", "imagepath", "imagefile", "img", "imgname", "imgpath", "filename", "filepath", "file"),
    *("path", "name", "imageid", "imgid", "photo", "picture", "distimg"),
)
SCORE = (
    *("mos", "moszscore", "mosquality", "meanopinionscore", "score", "quality", "qualityscore", "qualitymos"),
    *("opinion", "opinionscore", "rating", "meanscore", "meanrating"),
)
SPLIT = ("split", "set", "subset", "part", "partition")
GROUP = ("group", "source", "scene", "content", "reference", "refimage", "refimg")
LARGEST = 1e100  # of a score: beyond, sums and squares leave the floating point numbers
RANGES = ((0, 1), (1, 5), (0, 5), (1, 10), (0, 10), (0, 100))  # nominal scales, narrowest first


@dataclass(frozen=True)
class Row:
    """One line of the csv: `part` is "" without a split column, `group` without a group column."""

    line: int
    image: str
    opinion: float
    part: str
    group: str


@dataclass
class Sheet:
    """What could be read, what could not, and what was guessed."""

    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # "line 4: …"
    notes: list[str] = field(default_factory=list)


def read(path: Path) -> Sheet:
    """Rows and faults of a csv; a file without the columns that are needed raises `DataError`."""
    sheet = Sheet()
    header, lines = cells(path, sheet.notes)
    columns = _columns(path, header, lines, sheet.notes)
    for line, fields in lines:
        if len(fields) != len(header):
            sheet.faults.append(f"line {line}: {len(fields)} fields where the header has {len(header)}")
            continue
        row, faults = _row(line, fields, columns)
        sheet.faults += [f"line {line}: {fault}" for fault in faults]
        if not faults:
            sheet.rows.append(row)
    return sheet


def nominal_range(opinions: Sequence[float]) -> tuple[float, float]:
    """The narrowest usual scale that holds all opinions, else their own extremes."""
    low, high = min(opinions), max(opinions)
    return next(((float(a), float(b)) for a, b in RANGES if a <= low and high <= b), (low, high))


def cells(path: Path, notes: list[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and (line number, fields) of each line that is not blank."""
    text = _decoded(path, notes)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    if delimiter != ",":
        notes.append(f"{path.name} is separated by {'tabs' if delimiter == chr(9) else 'semicolons'}")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, fields) for fields in reader if any(value.strip() for value in fields)]
    except csv.Error as error:
        raise DataError(f"{path} cannot be read beyond line {reader.line_num} ({error}): mend that line") from error
    if len(lines) < 2:
        raise DataError(f"{path} holds no rows: it needs a header and a line for each image")
    return [name.strip() for name in lines[0][1]], lines[1:]


def _decoded(path: Path, notes: list[str]) -> str:
    """The file's text: UTF-8, UTF-16 by its byte order mark, else Latin-1."""
    content = path.read_bytes()
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = content.decode("utf-16")
            notes.append(f"{path.name} is UTF-16")
            return text
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes.append(f"{path.name} is not UTF-8: read as Latin-1")
        return content.decode("latin-1")


def _columns(path: Path, header: list[str], lines: list, notes: list[str]) -> dict[str, int | None]:
    """Which column is the image, the score, the part, the group; said in the notes."""
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    doubled = sorted({name for name, key in zip(header, plain, strict=True) if key and plain.count(key) > 1})
    if doubled:
        raise DataError(f"{path} has more than one column {' and '.join(map(repr, doubled))}: rename or remove one")
    image = _first(plain, IMAGE)
    if image is None:
        image = _by_suffix(lines, len(header))
    score = _first(plain, SCORE)
    for kind, index in (("image", image), ("score", score)):
        if index is None:
            hint = " (a DMOS may mean that lower is better)" if kind == "score" and "dmos" in plain else ""
            raise DataError(f"{path} has no column known as {kind} among {header}{hint}: rename it to {kind!r}")
    split = _first(plain, SPLIT)
    if split is not None and plain[split] != "split" and not _all_parts(lines, split):
        split = None  # "set" and "part" are also other things
    found = {"image": image, "score": score, "split": split, "group": _first(plain, GROUP)}
    said = ", ".join(f"{kind} = {header[index]!r}" for kind, index in found.items() if index is not None)
    notes.append(f"columns of {path.name}: {said}")
    return found


def _first(plain: list[str], known: Sequence[str]) -> int | None:
    return next((plain.index(name) for name in known if name in plain), None)


def _by_suffix(lines: list, width: int) -> int | None:
    """The first column whose values end like images."""
    for index in range(width):
        values = [fields[index] for _, fields in lines if index < len(fields)]
        if values and all(PurePosixPath(value.strip()).suffix.lower() in images.SUFFIXES for value in values):
            return index
    return None


def _all_parts(lines: list, index: int) -> bool:
    return all(fields[index].strip().lower() in WORDS for _, fields in lines if index < len(fields))


def _row(line: int, fields: list[str], columns: dict[str, int | None]) -> tuple[Row, list[str]]:
    values = {kind: "" if index is None else fields[index].strip() for kind, index in columns.items()}
    faults = []
    if not values["image"]:
        faults.append("no image is named")
    opinion, fault = number(values["score"])
    if fault:
        faults.append(f"the score of {values['image']!r} {fault}")
    part = WORDS.get(values["split"].lower(), "")
    if columns["split"] is not None and not part:
        faults.append(f"the split {values['split']!r} is none of train, validation, test")
    return Row(line, values["image"], opinion, part, values["group"]), faults


def number(text: str) -> tuple[float, str]:
    """(value, "") or (nan, what is wrong)."""
    if not text:
        return math.nan, "is missing: give a number, or remove the line"
    if not text.isascii() or "_" in text:  # Python would take 1_0 for ten and ٣ for three
        return math.nan, f"is {text!r}: give a number in the digits 0 to 9"
    try:
        value = float(text)
    except ValueError:
        remedy = "write a decimal point" if re.fullmatch(r"[+-]?\d+,\d+", text) else "give a number"
        return math.nan, f"is {text!r}: {remedy}"
    if not math.isfinite(value):
        return math.nan, f"is {text!r}: give a finite number"
    return (value, "") if abs(value) <= LARGEST else (math.nan, f"is {text!r}: give a number below {LARGEST:g}")
