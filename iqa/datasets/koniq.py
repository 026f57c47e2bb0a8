"""KonIQ-10k (Hosu et al., TIP 2020): 10,073 photographs with authentic distortions, 7058/1000/2015."""

from pathlib import Path

from iqa.datasets import sheet
from iqa.datasets.assembly import Entry, Listing
from iqa.datasets.manifest import DataError
from iqa.datasets.published import Published, entries, pictures, rows
from iqa.datasets.splits import WORDS

TREE = "512x384/ or 1024x768/ and koniq10k_distributions_sets.csv"
RANGE = (0.0, 100.0)
SIZES = ("512x384", "1024x768")  # as published, the one that results are reported on first
OTHER_SIZE = "koniq's pictures are taken from 1024x768/, not from 512x384/ as published"
WITH_SETS = "koniq10k_distributions_sets.csv"  # its MOS is on 0–100, seen: 3.91…88.39
VOTES = ("c1", "c2", "c3", "c4", "c5")  # how many gave each grade, or their shares
VOTERS = "c_total"
WITHOUT_SETS = "koniq10k_scores_and_distributions.csv"  # its MOS is on 1–5, its MOS_zscore on 0–100


def read(annotations: Path, seen: bool = True) -> Listing:
    """Either official csv, chosen by its name; the smaller pictures where both sizes are there."""
    notes: list[str] = []
    official = annotations.name.casefold() == WITH_SETS
    score = "MOS" if official else "MOS_zscore"
    columns = ("image_name", score, "set") if official else ("image_name", score)
    lines, faults = rows(annotations, columns, notes, also=(*VOTES, VOTERS))
    tree = pictures(annotations.parent, SIZES, TREE, seen)
    found, more = entries(lines, tree, ("image_name", score), RANGE, _entry)
    if found and max(entry.opinion for entry in found) <= 5:
        raise DataError(f"{annotations} has its {score} on 1–5 where 0–100 is published: use the official csv")
    folder = Path(tree.inside)
    notes.append(
        f"scores are {score} of {annotations.name}, 0–100" + (f"; pictures from {folder.name}/" if seen else "")
    )
    deviations = [OTHER_SIZE] if folder.name.casefold() == SIZES[1] else []
    if not official:
        notes.append(f"{annotations.name} has no official split: koniq-official needs {WITH_SETS}")
    result = Listing("koniq", folder, annotations, found, RANGE, faults=faults + more, notes=notes)
    result.deviations = deviations
    if official:
        result.given = "koniq-official"
        result.others = {"koniq-8058": ("train", "train", "test")}
    return result


def _entry(path: str, opinion: float, values: dict[str, str]) -> Entry:
    votes = _votes(values)
    if "set" not in values:
        return Entry(path, opinion, votes=votes)
    part = WORDS.get(values["set"].lower())
    if part is None:
        raise ValueError(f"the set {values['set']!r} is none of training, validation, test")
    return Entry(path, opinion, part, votes=votes)


def _votes(values: dict[str, str]) -> str:
    """Whole numbers of votes, which nothing but the rater ceiling needs: "" where the file does not tell them."""
    told = [sheet.number(values.get(name, "")) for name in (*VOTES, VOTERS)]
    given, voters = [value for value, _ in told[:-1]], told[-1][0]
    if any(fault for _, fault in told) or min(given) < 0 or sum(given) <= 0 or voters < 1:
        return ""
    counts = [round(value / sum(given) * voters) for value in given]
    return " ".join(map(str, counts)) if any(counts) else ""


SET = Published(
    "koniq",
    "KonIQ-10k",
    "http://database.mmsp-kn.de/koniq-10k-database.html",
    TREE,
    (WITH_SETS, WITHOUT_SETS),
    10_073,
    read,
)
