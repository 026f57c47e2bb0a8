"""Everything that can be said about a data set on disk, and everything that is wrong with it, at once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from iqa.datasets import contents, listing, pixels, sample, sizes, splits
from iqa.datasets.assembly import Entry, Listing, Turn, chosen, licences, own_protocols, placed, split, without_leaks
from iqa.datasets.manifest import constant
from iqa.images import NATIVE


@dataclass(frozen=True)
class Findings:
    """What was found, a line each."""

    facts: tuple[str, ...]
    faults: tuple[str, ...]


def verify(
    name: str,
    root: str,
    turn: Turn,
    *,
    seen: bool = True,
    count: int | None = None,
    input_size: str = NATIVE,
    resample: str = "bicubic",
) -> Findings:
    """Read scores and every picture of a data set again, whatever was known of them.

    seen: whether to look for pictures at all, else the file with the scores is checked alone. count: how many pictures
    there should be, None = as published. Raises DataError where nothing can be read, such as for a missing column.
    """
    if name in sample.RECIPES:
        return Findings(sample.load(name, turn.protocol).notes, ())
    found = listing(name, root, seen)
    facts, faults = [*found.notes, *licences(found.root)], list(found.faults)
    facts += [f"deviation: {deviation}" for deviation in found.deviations]
    protocol = chosen(found, turn.protocol)
    label = splits.label(protocol, turn.fold, turn.round)
    wanted = found.count if count is None else count
    if wanted and len(found.entries) != wanted:
        faults.append(f"{len(found.entries):,} pictures can be used, where there should be {wanted:,}")
    entries, digests = found.entries, {entry.path: entry.path for entry in found.entries}
    if seen:
        entries, digests, bad = _looked_at(found, protocol)
        faults += [*bad, *_damaged(entries, digests, sizes.size_of(found.name, input_size), resample)]
    facts += _scores(found, entries)
    if entries and (seen or protocol in own_protocols(found)):
        entries = split(found, entries, digests, turn)
        facts += _parts(entries, label)
        faults += constant([entry.part for entry in entries], [entry.opinion for entry in entries])
    return Findings(tuple(facts), tuple(faults))


def _looked_at(found: Listing, protocol: str) -> tuple[list[Entry], dict[str, str], list[str]]:
    """The entries whose pictures can be used, the digest of each path, and the faults of the others."""
    known, unreadable = contents.look(found.root, [entry.path for entry in found.entries], fresh=True)
    entries = [entry for entry in found.entries if entry.path in known]
    digests = {path: content.digest for path, content in known.items()}
    faults = [*placed(found, unreadable), *repeated(entries, digests)]
    if protocol in own_protocols(found):
        entries, leaked = without_leaks(entries, digests)
        faults += leaked
    return entries, digests, faults


def repeated(entries: Sequence[Entry], digests: dict[str, str]) -> list[str]:
    """A sentence for each content that several pictures have."""
    places: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        places[digests[entry.path]].append(entry)
    found = []
    for same in places.values():
        if len(same) > 1:
            scores = "the same score" if len({entry.opinion for entry in same}) == 1 else "different scores"
            names = " and ".join(f"line {e.line}: {e.path!r}" if e.line else repr(e.path) for e in same)
            found.append(f"{names} are the same file with {scores}: keep one")
    return found


def _scores(found: Listing, entries: list[Entry]) -> list[str]:
    opinions = [entry.opinion for entry in entries if entry.opinion == entry.opinion]
    if not opinions:
        return [f"{len(entries):,} pictures without scores"]
    low, high = found.score_range
    return [f"{len(opinions):,} scores from {min(opinions):g} to {max(opinions):g} on a scale of {low:g} to {high:g}"]


def _parts(entries: list[Entry], label: str) -> list[str]:
    """The sizes of the parts, and how far off the best constant is on the test part."""
    import numpy as np

    said = [f"split {label}: {splits.counted([entry.part for entry in entries])} train/validation/test"]
    train, test = ([entry.opinion for entry in entries if entry.part == part] for part in ("train", "test"))
    if train and test and not np.isnan([*train, *test]).any():
        error = float(np.abs(np.array(test) - np.median(train)).mean())
        constant = f"the training part's median, {np.median(train):.2f}"
        said.append(f"a constant, {constant}, has a mean absolute error of {error:.2f} on the test part")
    return said


def _damaged(entries: list[Entry], digests: dict[str, str], size: str, resample: str) -> list[str]:
    """A sentence for each picture whose pixels in the cache are not what was written."""
    names = {digests[entry.path]: entry.path for entry in entries}
    bad = pixels.damaged(list(names), size, resample)
    return [
        f"the cached pixels of {names[digest]!r} are damaged: delete {index} and prepare it again"
        for digest, index in bad.items()
    ]
