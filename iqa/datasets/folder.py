"""Any folder of pictures with one csv of scores (or none: unlabelled)."""

from pathlib import Path

from iqa.datasets import sheet
from iqa.datasets.assembly import Entry, Listing
from iqa.datasets.manifest import DataError
from iqa.datasets.tree import Tree, Unseen, no_file

GIVEN = "split-column"


def listing(root: Path, name: str, seen: bool = True) -> Listing:
    """What a folder holds, or where pictures are not `seen` its csv alone, whose column `split` is a protocol."""
    tree = Tree(root) if seen else Unseen(root)
    if seen and not tree.files:
        raise DataError(f"{root} holds no images: put JPEG, PNG, BMP, TIFF or WebP files there, and a csv of scores")
    table = _the_csv(tree)
    if table is None and not seen:
        raise DataError(f"{root} holds no csv, and without its pictures there is nothing else to check: add the csv")
    found = _unlabelled(tree, name) if table is None else _labelled(tree, name, table)
    if tree.unnameable:
        found.notes.append(f"{tree.unnameable} images have names that are not UTF-8: left out")
    return found


def _the_csv(tree: Tree | Unseen) -> Path | None:
    """The csv with the scores, held to the rules of a picture; a folder counts where nothing else has such a name."""
    named = sorted(path for path in tree.root.iterdir() if path.suffix.lower() == ".csv")
    found = [path for path in named if not path.is_dir()] or named
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{tree.root} holds {len(found)} csv files ({names}): leave the one with the scores")
    fault = no_file(tree.inside, found[0].name) if found else ""
    if fault:
        raise DataError(f"{found[0]} {fault}: put the csv with the scores there, or remove it")
    return found[0] if found else None


def _unlabelled(tree: Tree | Unseen, name: str) -> Listing:
    entries = [Entry(path, float("nan")) for path in tree.files]
    notes = [f"no csv in {tree.root}: {len(entries)} images without scores, for pretraining only"]
    root = Path(tree.inside)
    return Listing(name, root, root, entries, (0.0, 1.0), scores_are="none (unlabelled)", notes=notes)


def _labelled(tree: Tree | Unseen, name: str, table: Path) -> Listing:
    """The csv's rows with the files that they mean."""
    found = sheet.read(table)
    first: dict[str, sheet.Row] = {}
    faults, again = list(found.faults), 0
    for row in found.rows:
        path, fault = tree.find(row.image)
        if fault:
            faults.append(f"line {row.line}: {fault}")
        elif path not in first:
            first[path] = row
        elif (row.opinion, row.part, row.group) == (first[path].opinion, first[path].part, first[path].group):
            again += 1
        else:
            faults.append(f"line {row.line}: {path!r} stands in line {first[path].line} with other values: keep one")
    entries = [Entry(path, row.opinion, row.part, row.group, line=row.line) for path, row in first.items()]
    scale, said = _scale([row.opinion for row in first.values()])
    notes = [*said, *found.notes, *_remarks(tree, table.name, len(first), again)]
    given = GIVEN if any(row.part for row in found.rows) else ""
    return Listing(name, Path(tree.inside), table, entries, scale, given=given, faults=faults, notes=notes)


def _scale(opinions: list[float]) -> tuple[tuple[float, float], list[str]]:
    """The guessed range of the scores, and the line that says so."""
    if not opinions:
        return (0.0, 1.0), []
    low, high = sheet.nominal_range(opinions)
    seen = f"{min(opinions):g}…{max(opinions):g}"
    return (low, high), [f"scores {seen} taken as on a scale of {low:g}–{high:g}, higher is better"]


def _remarks(tree: Tree | Unseen, table: str, used: int, again: int) -> list[str]:
    remarks = {
        f"{tree.loosely_matched} names were found in subfolders, or regardless of case or suffix": tree.loosely_matched,
        f"{again} lines repeat an earlier one: used once": again,
        f"{len(tree.files) - used} images of the folder are not in {table}: left out": len(tree.files) - used,
    }
    return [line for line, count in remarks.items() if count > 0]  # below: pictures that nobody looked at
