"""Data sets by name: built-in, published, a folder of one's own, or several of them → `Manifest`.

manifest (what all of them become), assembly (listing → manifest), sample · charts · photographs (built-in), koniq ·
spaq · kadid · agiqa · clive with published, tree and sheet (the published ones), folder, union, splits, sizes,
contents (digests), pixels (the cache), preparation, verification.
"""

import hashlib
import os
import re
from pathlib import Path

from iqa.datasets import agiqa, clive, folder, kadid, koniq, published, sample, sizes, spaq, splits, union
from iqa.datasets.assembly import Listing, Turn, assemble, notices
from iqa.datasets.manifest import DataError, Manifest

__all__ = ["NAMES", "PUBLISHED", "DataError", "Manifest", "listing", "load", "notices"]

PUBLISHED = {one.name: one for one in (koniq.SET, spaq.SET, kadid.SET, agiqa.SET, clive.SET)}
NAMES = (*sample.RECIPES, *PUBLISHED)


def load(
    name: str,
    root: str = "",
    protocol: str = "",
    split_seed: int = 0,
    on_bad: str = "error",
    fold: int = 0,
    round: int = 0,
    input_size: str = sizes.NATIVE,
    resize_filter: str = "bicubic",
) -> Manifest:
    """The data set `name`: one of NAMES, or a folder, looked for as given and then below `root`; "a,b" is both.

    Parts depend on `split_seed`, `fold`, `round` and the contents, never on the training seed. `on_bad` is "error",
    or "skip": rows that cannot be used are then left out, counted and listed in the notes. `input_size`: one for all
    sets, or NAME=SIZE, …, the sets that are not named keeping their own.
    """
    if on_bad not in ("error", "skip"):
        raise DataError(f"on_bad is {on_bad!r}: give error or skip")
    if "," in name and not os.path.isdir(os.path.expanduser(name)):
        parts = [part.strip() for part in name.split(",") if part.strip()]
        told = (root, protocol, split_seed, on_bad, fold, round, input_size, resize_filter)
        return union.joined([load(part, *told) for part in parts], on_bad)
    if name in sample.RECIPES:
        splits.label(protocol or sample.PROTOCOL, fold, round)
        found = sample.load(name, protocol)
    else:
        found = assemble(listing(name, root), Turn(protocol, split_seed, fold, round), on_bad)
    return sizes.applied(found, input_size, resize_filter, NAMES)


def listing(name: str, root: str = "", seen: bool = True) -> Listing:
    """What a published set or a folder holds by its own account; its scores alone where pictures are not `seen`."""
    if name in PUBLISHED:
        return published.listing(PUBLISHED[name], root, seen)
    place = _find(name, root)
    return folder.listing(place, shown(place), seen)


def shown(place: Path) -> str:
    """What a folder's data set is called: part of metric names, and never the name of a set that has one."""
    given = place.resolve().name
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", given).strip("-")
    if not plain:  # no letter of it is one that a metric may have
        return f"folder-{hashlib.sha256(os.fsencode(given)).hexdigest()[:8]}"
    return f"{plain}-folder" if plain in NAMES else plain


def _find(name: str, root: str) -> Path:
    """The folder that `name` means."""
    if not name:
        raise DataError(f"no data set is named: give a folder, or one of {', '.join(NAMES)}")
    places = [os.path.expanduser(name)]
    if root:
        places.append(os.path.join(os.path.expanduser(root), name))
    for place in places:
        if os.path.isdir(place):
            return Path(place)
        if os.path.isfile(place):
            raise DataError(f"{place} is a file: give the folder that holds the images and the csv")
    looked = " nor ".join(map(repr, places))
    if os.sep in name or name.startswith((".", "~")):
        raise DataError(f"there is no folder {looked}: give the path of one, or one of {', '.join(NAMES)}")
    hint = sizes.nearest(name, NAMES, 0.5)
    raise DataError(f"there is no data set {name!r}: {hint}give a folder, or one of {', '.join(NAMES)}")
