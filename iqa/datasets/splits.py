"""Who goes into which part: by content and split seed alone, never by the training seed."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from iqa.datasets.manifest import PARTS, DataError

SHARES = {  # protocol → shares of train, validation, test
    "random-60-20-20": (0.6, 0.2, 0.2),
    "random-70-10-20": (0.7, 0.1, 0.2),
    "random-80-20": (0.8, 0.0, 0.2),
    "by-reference": (0.6, 0.2, 0.2),  # of the groups, which for KADID are the pristine pictures
}
FOLDS, KFOLD = 5, "kfold-5"  # fold k is tested, k + 1 for validation, three are trained on
ROUNDS = 10  # of a protocol in SHARES, each another draw
WORDS = {  # what csv files write for the parts
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def drawn_protocols() -> tuple[str, ...]:
    """Names of the protocols that need nothing but contents and a seed."""
    return (*SHARES, KFOLD)


def label(protocol: str, fold: int, round: int) -> str:
    """The protocol as a result names it: "kfold-5:2", "random-80-20:3". Raises DataError for a turn it has not."""
    if fold and protocol != KFOLD:
        raise DataError(f"fold {fold} is of {KFOLD}, not of {protocol}: leave it out, or give protocol={KFOLD}")
    if round and protocol not in SHARES:
        raise DataError(f"round {round} is of a drawn protocol ({', '.join(SHARES)}), not of {protocol}: leave it out")
    if fold >= FOLDS or round >= ROUNDS:
        raise DataError(f"fold {fold}, round {round}: there are folds 0 to {FOLDS - 1} and rounds 0 to {ROUNDS - 1}")
    return f"{protocol}:{fold}" if protocol == KFOLD else f"{protocol}:{round}" if round else protocol


def by_content(
    digests: Sequence[str], groups: Sequence[str], split_seed: int, protocol: str, fold: int = 0, round: int = 0
) -> list[str]:
    """One part a row. Rows that share a content or a group stay together, and are placed by their contents' digest."""
    units = _units(digests, groups)
    seed = f"{split_seed}.{round}" if round else f"{split_seed}"
    ranked = sorted(set(units), key=lambda unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest())
    count = len(ranked)
    _enough(count, len(set(digests)), protocol)
    parts = _by_shares(count, SHARES[protocol]) if protocol in SHARES else _by_fold(count, fold)
    part_of = dict(zip(ranked, parts, strict=True))
    return [part_of[unit] for unit in units]


def leaks(names: Sequence[str], digests: Sequence[str], parts: Sequence[str]) -> list[str]:
    """A sentence for each content that stands in more than one part."""
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    for name, digest, part in zip(names, digests, parts, strict=True):
        seen[digest].setdefault(part, name)
    return [
        f"the same content stands in {' and '.join(where)} ({', '.join(map(repr, where.values()))}): keep it in one"
        for where in seen.values()
        if len(where) > 1
    ]


def counted(parts: Sequence[str]) -> str:
    """'252 / 84 / 84', in the order of PARTS."""
    return " / ".join(str(sum(part == name for part in parts)) for name in PARTS)


def _units(digests: Sequence[str], groups: Sequence[str]) -> list[str]:
    """For each row the smallest digest that it is tied to, through equal contents and equal groups."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for digest, group in zip(digests, groups, strict=True):
        parent[root(f"g{group}")] = root(f"d{digest}")
    smallest: dict[str, str] = {}
    for digest in digests:
        tied = root(f"d{digest}")
        smallest[tied] = min(digest, smallest.get(tied, digest))
    return [smallest[root(f"d{digest}")] for digest in digests]


def _by_shares(count: int, shares: tuple[float, ...]) -> list[str]:
    """The part of each of `count` ranked units; a part with a share gets at least one."""
    sizes = [max(1, round(count * share)) if share else 0 for share in shares]
    while sum(sizes) != count:  # rounding: the largest part gives or takes
        sizes[sizes.index(max(sizes))] += 1 if sum(sizes) < count else -1
    return [part for part, size in zip(PARTS, sizes, strict=True) for _ in range(size)]


def _by_fold(count: int, fold: int) -> list[str]:
    """The part of each of `count` ranked units, dealt into FOLDS folds in turn."""
    return [{fold: "test", (fold + 1) % FOLDS: "validation"}.get(i % FOLDS, "train") for i in range(count)]


def _enough(count: int, contents: int, protocol: str) -> None:
    """Raise DataError for fewer units, which are contents or groups of them, than parts."""
    wanted = sum(share > 0 for share in SHARES[protocol]) if protocol in SHARES else FOLDS
    if count >= wanted:
        return
    if count < contents:
        what = f"{count} {'group' if count == 1 else 'groups'} of {contents} different contents"
        remedy = "a group stays in one part, so add groups"
    else:
        what, remedy = f"{count} different contents", "add images"
    raise DataError(f"{what} cannot be split into {wanted} parts: {remedy}, or a column `split` to the csv")
