"""What the published sets have in common: where they may lie, what to say when they do not, rows to entries."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iqa.datasets import sheet
from iqa.datasets.assembly import Entry, Listing, licences
from iqa.datasets.manifest import DataError
from iqa.datasets.tree import Tree, Unseen, no_file, within

DEPTH = 3  # folders below the root that are searched: archives are often unpacked one or two too deep
Lines = list[tuple[int, dict[str, str]]]  # (line of the file, value by column)


@dataclass(frozen=True)
class Published:
    """A set as its authors publish it."""

    name: str  # what a person types
    title: str
    page: str  # where it is, with its licence
    tree: str  # what has to lie in the folder
    annotations: tuple[str, ...]  # names of the file with the scores, the best first, in any letter case
    count: int  # pictures with a score
    read: Callable[[Path, bool], Listing]  # annotation file, whether to look for the pictures → listing
    licence: str = "none that could be confirmed: see its page"


def listing(published: Published, root: str, seen: bool = True) -> Listing:
    """Find a set in root/NAME, or in root itself, and read it; its scores alone where the pictures are not `seen`."""
    found = located(published, root)
    place = next((place for place in _places(published, root) if found and place in found.parents), None)
    if found is None or place is None:
        top = Path(os.path.expanduser(root or "."))
        closed = [str(place) for place in _places(published, root) if not os.access(place, os.R_OK | os.X_OK)]
        unread = f" ({' and '.join(closed)} cannot be read by you)" if closed else ""
        raise DataError(
            f"there is no {published.title} in {top / published.name} nor {top}{unread}: get it from {published.page} "
            f"(its licence is there), so that the folder holds {published.tree}; "
            f"`iqa data verify --data={published.name} --data_root={top}` then checks it"
        )
    inside = os.path.realpath(place)
    if fault := no_file(inside, str(found.relative_to(place))):
        raise DataError(f"{found} {fault}: put the file itself there")
    result = published.read(found, seen)
    if not within(inside, str(result.root)):
        raise DataError(f"the pictures in {result.root} lie outside of {place}: nothing else is read, move them there")
    about = f"{published.title} in {found.parent}, licence: {published.page}"
    result.notes[:0] = [about, *(licences(found.parent) if found.parent != result.root else [])]
    result.count = published.count
    if len(result.entries) != published.count:
        result.notes.append(f"{len(result.entries)} pictures where {published.count} are published")
    return result


def located(published: Published, root: str) -> Path | None:
    """The annotation file of a set in root/NAME, or in root itself."""
    places = _places(published, root)
    return next((file for place in places if (file := _annotations(place, published.annotations))), None)


def _places(published: Published, root: str) -> list[Path]:
    """The folders that may hold a set."""
    top = Path(os.path.expanduser(root or "."))
    return [place for place in (top / published.name, top) if place.is_dir()]


def rows(path: Path, columns: Sequence[str], notes: list[str], also: Sequence[str] = ()) -> tuple[Lines, list[str]]:
    """The lines of a csv by the names in `columns` (in any letter case), and the faults of those left out.

    also: columns that are taken where all of them are there.
    """
    header, lines = sheet.cells(path, notes)
    there = {name.casefold() for name in header}
    return by_column(path, header, lines, [*columns, *(also if there.issuperset(also) else ())])


def by_column(path: Path, header: list[str], lines: list, columns: Sequence[str]) -> tuple[Lines, list[str]]:
    """Pick `columns` out of lines of fields."""
    plain = [name.casefold() for name in header]
    for name in columns:
        if plain.count(name.casefold()) != 1:
            problem = "no column" if name.casefold() not in plain else "more than one column"
            raise DataError(f"{path} has {problem} {name!r} among {header}: use the file as it is published")
    at = {name: plain.index(name.casefold()) for name in columns}
    good = [(line, fields) for line, fields in lines if len(fields) == len(header)]
    faults = [
        f"line {line}: {len(fields)} fields where the header has {len(header)}"
        for line, fields in lines
        if len(fields) != len(header)
    ]
    return [(line, {name: fields[i].strip() for name, i in at.items()}) for line, fields in good], faults


def entries(
    lines: Lines,
    tree: Tree | Unseen,
    columns: tuple[str, str],
    bounds: tuple[float, float],
    build: Callable[[str, float, dict[str, str]], Entry],
) -> tuple[list[Entry], list[str]]:
    """Entries of the lines that are right, a sentence for each other one.

    columns: the image's and the opinion's; bounds: the lowest and highest opinion there can be;
    build: (path, opinion, values) → entry, a ValueError's text being a fault.
    """
    found: dict[str, Entry] = {}
    faults = []
    for line, values in lines:
        path, fault = tree.find(values[columns[0]])
        opinion, wrong = sheet.number(values[columns[1]])
        if not wrong and not bounds[0] <= opinion <= bounds[1]:
            wrong = f"is {opinion:g}, outside {bounds[0]:g}…{bounds[1]:g}: use the file as it is published"
        fault = fault or (f"the {columns[1]} of {path!r} {wrong}" if wrong else "")
        if not fault and path in found:
            fault = f"{path!r} stands there twice: keep one line"
        if fault:
            faults.append(f"line {line}: {fault}")
            continue
        try:
            found[path] = replace(build(path, opinion, values), line=line)
        except ValueError as error:
            faults.append(f"line {line}: {error}")
    return list(found.values()), faults


def pictures(root: Path, names: Sequence[str], tree: str, seen: bool) -> Tree | Unseen:
    """The pictures in the first of `names` that is a folder below `root`, or as if they were there."""
    return Tree(subfolder(root, names, tree)) if seen else Unseen(root)


def subfolder(root: Path, names: Sequence[str], tree: str) -> Path:
    """The first of `names` that is a folder below `root` (or beside its annotations), in any letter case."""
    for place in (root, root.parent):
        inside = {path.name.casefold(): path for path in sorted(place.iterdir()) if path.is_dir()}
        for name in names:
            if name.casefold() in inside:
                return inside[name.casefold()]
    raise DataError(f"{root} has no folder {' nor '.join(map(repr, names))}: it should hold {tree}")


def _annotations(place: Path, names: tuple[str, ...]) -> Path | None:
    """The annotation file: the best name first, then the shallowest."""
    wanted = {name.casefold(): rank for rank, name in enumerate(names)}
    found: list[tuple[int, int, str]] = []
    level = [str(place)]
    for depth in range(DEPTH + 1):
        below: list[str] = []
        for entry in (entry for folder in level for entry in _entries(folder)):
            if entry.name.casefold() in wanted and entry.is_file():
                found.append((wanted[entry.name.casefold()], depth, entry.path))
            elif not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
        level = sorted(below)
    return Path(min(found)[2]) if found else None


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What a folder holds; nothing of one that is closed to us, such as a disk's own lost+found."""
    try:
        with os.scandir(folder) as inside:
            return list(inside)
    except PermissionError:
        return []
