"""AGIQA-3K (Li et al., TCSVT 2023): 2,982 generated pictures, scored for quality and for alignment with the prompt."""

from pathlib import Path

from iqa.datasets.assembly import Entry, Listing
from iqa.datasets.published import Published, entries, rows
from iqa.datasets.tree import Tree, Unseen

TREE = "the pictures and data.csv"
RANGE = (0.0, 5.0)  # seen: 0…4.489
QUALITY = "mos_quality"  # the other opinion, mos_align, is not about quality


def read(annotations: Path, seen: bool = True) -> Listing:
    """data.csv with the pictures anywhere beside it; the unit is the prompt."""
    notes: list[str] = []
    lines, faults = rows(annotations, ("name", "prompt", QUALITY), notes)
    tree = Tree(annotations.parent) if seen else Unseen(annotations.parent)
    found, more = entries(lines, tree, ("name", QUALITY), RANGE, _entry)
    notes.append(f"scores are {QUALITY} on 0–5; a unit is a prompt")
    return Listing("agiqa", Path(tree.inside), annotations, found, RANGE, faults=faults + more, notes=notes)


def _entry(path: str, opinion: float, values: dict[str, str]) -> Entry:
    if not values["prompt"]:
        raise ValueError(f"{path!r} has no prompt")
    return Entry(path, opinion, group=values["prompt"])


SET = Published(
    "agiqa",
    "AGIQA-3K",
    "https://github.com/lcysyzxdxc/AGIQA-3k-Database",
    TREE,
    ("data.csv",),
    2_982,
    read,
)
