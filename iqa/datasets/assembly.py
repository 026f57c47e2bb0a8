"""What a data set's reader found on disk → manifest: contents checked, faults told together, parts made."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from iqa.datasets import contents, splits
from iqa.datasets.contents import Content
from iqa.datasets.manifest import DataError, Manifest, listed, table_of


@dataclass(frozen=True)
class Entry:
    """One picture and what is published about it; an empty `group` stands for the content itself."""

    path: str  # posix, relative to the root
    opinion: float  # NaN: unlabelled
    part: str = ""  # "" = none given
    group: str = ""
    family: str = ""
    level: int = -1
    votes: str = ""  # as in a manifest
    line: int = 0  # of the file with the scores; 0 = none


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
    deviations: list[str] = field(default_factory=list)  # from how the set is published
    count: int = 0  # pictures that are published; 0 = nobody knows


class FaultyData(DataError):
    """Everything that is wrong with a data set, each fault a line; `faults` has them all."""

    def __init__(self, where: Path, faults: list[str]):
        super().__init__(
            f"{where} has {counted(faults)} (mend them, or pass on_bad=skip to leave those out):\n{listed(faults)}"
        )
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Turn:
    """How the parts are made: the protocol ("" = the set's own), its seed, and which of its folds or rounds."""

    protocol: str = ""
    split_seed: int = 0
    fold: int = 0
    round: int = 0


def assemble(listing: Listing, turn: Turn, on_bad: str) -> Manifest:
    """The manifest of a listing. Faults raise together, or are left out and counted with on_bad="skip"."""
    known, unreadable = contents.look(listing.root, dict.fromkeys(entry.path for entry in listing.entries))
    faults = [*listing.faults, *placed(listing, unreadable)]
    entries = [entry for entry in listing.entries if entry.path in known]
    digests = {path: content.digest for path, content in known.items()}
    protocol = chosen(listing, turn.protocol)
    label = splits.label(protocol, turn.fold, turn.round)
    if protocol in own_protocols(listing):
        entries, leaked = without_leaks(entries, digests)
        faults += leaked
    if faults and on_bad == "error":
        raise FaultyData(listing.source, faults)
    if not entries:
        raise DataError(f"nothing of {listing.root} is left to use:\n{listed(faults)}")
    entries = sorted(split(listing, entries, digests, turn), key=lambda entry: entry.path)
    notes = [*listing.notes, *licences(listing.root)]
    if faults:
        notes.append(f"{counted(faults)}, left out:\n{listed(faults)}")
    shown = splits.counted([entry.part for entry in entries])
    drawn = "" if protocol in own_protocols(listing) else f" by content, split_seed {turn.split_seed}"
    notes.append(f"split {label}{drawn}: {shown} train/validation/test")
    table = _table(entries, known, listing.score_range)
    return Manifest(
        *(listing.name, listing.root, table, listing.score_range, listing.scores_are, label, tuple(notes)),
        deviations=tuple(listing.deviations),
    )


def counted(faults: Sequence[str]) -> str:
    """How many there are, in words."""
    return "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"


def own_protocols(listing: Listing) -> set[str]:
    """The protocols that the entries' own parts make."""
    return {name for name in (listing.given, *listing.others) if name}


def chosen(listing: Listing, protocol: str) -> str:
    """The protocol that is meant; raises DataError for one that the set does not have."""
    protocol = protocol or listing.given or listing.default
    known = sorted(own_protocols(listing) | set(splits.drawn_protocols()))
    if protocol not in known:
        raise DataError(f"{listing.name} has no protocol {protocol!r}: give one of {', '.join(known)}")
    return protocol


def placed(listing: Listing, faults: dict[str, str]) -> list[str]:
    """Faults of pictures, each with the line that names the picture."""
    lines = {entry.path: entry.line for entry in listing.entries}
    return [f"line {lines[path]}: {fault}" if lines[path] else fault for path, fault in faults.items()]


def licences(root: Path) -> list[str]:
    """That there are notices which go wherever the pictures go."""
    return [f"{file.name} in {root} applies wherever these pictures are shown" for file in notices(root)]


def notices(root: Path) -> list[Path]:
    """The notices themselves, by name."""
    return sorted(p for p in root.iterdir() if p.is_file() and p.name.upper().startswith(("COPYRIGHT", "LICEN")))


def without_leaks(entries: list[Entry], digests: dict[str, str]) -> tuple[list[Entry], list[str]]:
    """Entries whose content stands in one part only, and a sentence for each other content."""
    contents_ = [digests[entry.path] for entry in entries]
    faults = splits.leaks([entry.path for entry in entries], contents_, [entry.part for entry in entries])
    if not faults:
        return entries, []
    places = Counter(digest for digest, _ in {(digests[entry.path], entry.part) for entry in entries})
    return [entry for entry in entries if places[digests[entry.path]] == 1], faults


def split(listing: Listing, entries: list[Entry], digests: dict[str, str], turn: Turn) -> list[Entry]:
    """Entries with the parts that the protocol gives them, and a group each."""
    protocol = chosen(listing, turn.protocol)
    entries = [replace(entry, group=entry.group or digests[entry.path]) for entry in entries]
    if protocol == listing.given:
        return entries
    if protocol in listing.others:
        becomes = dict(zip(splits.PARTS, listing.others[protocol], strict=True))
        return [replace(entry, part=becomes[entry.part]) for entry in entries]
    order, groups = [digests[entry.path] for entry in entries], [entry.group for entry in entries]
    parts = splits.by_content(order, groups, turn.split_seed, protocol, turn.fold, turn.round)
    return [replace(entry, part=part) for entry, part in zip(entries, parts, strict=True)]


def _table(entries: list[Entry], known: dict[str, Content], score_range: tuple[float, float]):
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
        "votes": [entry.votes for entry in entries],
        "digest": [known[entry.path].digest for entry in entries],
        "width": [known[entry.path].width for entry in entries],
        "height": [known[entry.path].height for entry in entries],
    }
    return table_of(columns)
