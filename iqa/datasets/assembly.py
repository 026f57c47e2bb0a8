"""What a data set's reader found on disk → manifest: contents checked, faults told together, parts made."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from iqa.datasets import contents, splits
from iqa.datasets.manifest import DataError, Manifest, table_of

LISTED = 20  # faults shown in full; a folder of the wrong name would otherwise print thousands


@dataclass(frozen=True)
class Entry:
    """One picture and what is published about it; an empty `group` stands for the content itself."""

    path: str  # posix, relative to the root
    opinion: float  # NaN: unlabelled
    part: str = ""  # "" = none given
    group: str = ""
    family: str = ""
    level: int = -1


@dataclass
class Listing:
    """A data set before its contents are looked at."""

    name: str
    root: Path
    source: Path  # what the faults are about: the csv, or the root
    entries: list[Entry]
    score_range: tuple[float, float]  # the opinions that become 0 and 1
    scores_are: str = "opinion scores"
    given: str = ""  # name of the protocol that the entries' own parts make; "" = they have none
    default: str = "random-60-20-20"  # protocol where neither the caller nor the entries name one
    others: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # protocol → parts that train, validation, test become
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class FaultyData(DataError):
    """Everything that is wrong with a data set, each fault a line; `faults` has them all."""

    def __init__(self, where: Path, faults: list[str]):
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"{where} has {count} (mend them, or pass on_bad=skip to leave those out):\n{listed(faults)}")
        self.faults = tuple(faults)


def assemble(listing: Listing, protocol: str, split_seed: int, on_bad: str) -> Manifest:
    """The manifest of a listing. Faults raise together, or are left out and counted with on_bad="skip"."""
    protocol = protocol or listing.given or listing.default
    own = {name for name in (listing.given, *listing.others) if name}
    known = sorted(own | set(splits.drawn_protocols()))
    if protocol not in known:
        raise DataError(f"{listing.name} has no protocol {protocol!r}: give one of {', '.join(known)}")
    digests, unreadable = contents.digests(listing.root, dict.fromkeys(entry.path for entry in listing.entries))
    faults = [*listing.faults, *unreadable.values()]
    entries = [entry for entry in listing.entries if entry.path in digests]
    if protocol in own:
        entries, leaked = _without_leaks(entries, digests)
        faults += leaked
    if faults and on_bad == "error":
        raise FaultyData(listing.source, faults)
    if not entries:
        raise DataError(f"nothing of {listing.root} is left to use:\n{listed(faults)}")
    entries = sorted(_split(listing, entries, digests, protocol, split_seed), key=lambda entry: entry.path)
    notes = [*listing.notes, *licences(listing.root)]
    if faults:
        notes.append(f"{len(faults)} faults, left out:\n{listed(faults)}")
    shown = splits.counted([entry.part for entry in entries])
    drawn = "" if protocol in own else f" by content, split_seed {split_seed}"
    notes.append(f"split {protocol}{drawn}: {shown} train/validation/test")
    table = _table(entries, digests, listing.score_range)
    return Manifest(listing.name, listing.root, table, listing.score_range, listing.scores_are, protocol, tuple(notes))


def listed(faults: list[str]) -> str:
    """One indented line each, the first LISTED of them."""
    rest = len(faults) - LISTED
    return "\n".join([f"  {fault}" for fault in faults[:LISTED]] + ([f"  … and {rest} more"] if rest > 0 else []))


def licences(root: Path) -> list[str]:
    """Notices that go wherever the pictures go."""
    found = sorted(p.name for p in root.iterdir() if p.is_file() and p.name.upper().startswith(("COPYRIGHT", "LICEN")))
    return [f"{name} in {root} applies wherever these pictures are shown" for name in found]


def _without_leaks(entries: list[Entry], digests: dict[str, str]) -> tuple[list[Entry], list[str]]:
    """Entries whose content stands in one part only, and a sentence for each other content."""
    contents_ = [digests[entry.path] for entry in entries]
    faults = splits.leaks([entry.path for entry in entries], contents_, [entry.part for entry in entries])
    if not faults:
        return entries, []
    places = Counter(digest for digest, _ in {(digests[entry.path], entry.part) for entry in entries})
    return [entry for entry in entries if places[digests[entry.path]] == 1], faults


def _split(
    listing: Listing, entries: list[Entry], digests: dict[str, str], protocol: str, split_seed: int
) -> list[Entry]:
    """Entries with the parts that the protocol gives them, and a group each."""
    entries = [replace(entry, group=entry.group or digests[entry.path]) for entry in entries]
    if protocol == listing.given:
        return entries
    if protocol in listing.others:
        becomes = dict(zip(splits.PARTS, listing.others[protocol], strict=True))
        return [replace(entry, part=becomes[entry.part]) for entry in entries]
    order, groups = [digests[entry.path] for entry in entries], [entry.group for entry in entries]
    parts = splits.by_content(order, groups, split_seed, protocol)
    return [replace(entry, part=part) for entry, part in zip(entries, parts, strict=True)]


def _table(entries: list[Entry], digests: dict[str, str], score_range: tuple[float, float]):
    low, high = score_range
    scale = (high - low) or 1.0  # all opinions equal: all scores 0
    columns = {
        "path": [entry.path for entry in entries],
        "score": [(entry.opinion - low) / scale for entry in entries],
        "opinion": [entry.opinion for entry in entries],
        "split": [entry.part for entry in entries],
        "group": [entry.group for entry in entries],
        "family": [entry.family for entry in entries],
        "level": [entry.level for entry in entries],
        "digest": [digests[entry.path] for entry in entries],
    }
    return table_of(columns)
