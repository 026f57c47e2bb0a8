"""Data sets by name: built-in, published, or a folder of one's own → `Manifest`."""

import difflib
import os
import re
from pathlib import Path

from iqa.datasets import agiqa, clive, folder, kadid, koniq, published, sample, spaq
from iqa.datasets.assembly import assemble
from iqa.datasets.contents import cache_folder
from iqa.datasets.manifest import DataError, Manifest

__all__ = ["NAMES", "PUBLISHED", "DataError", "Manifest", "cache_folder", "load"]

PUBLISHED = {one.name: one for one in (koniq.SET, spaq.SET, kadid.SET, agiqa.SET, clive.SET)}
NAMES = (*sample.RECIPES, *PUBLISHED)


def load(name: str, root: str = "", protocol: str = "", split_seed: int = 0, on_bad: str = "error") -> Manifest:
    """The data set `name`: one of NAMES, or a folder, looked for as given and then below `root`.

    Parts depend on `split_seed` and the contents, never on the training seed. `on_bad` is "error", or "skip":
    rows that cannot be used are then left out, counted and listed in the notes.
    """
    if on_bad not in ("error", "skip"):
        raise DataError(f"on_bad is {on_bad!r}: give error or skip")
    if name in sample.RECIPES:
        return sample.load(name, protocol)
    if name in PUBLISHED:
        return assemble(published.listing(PUBLISHED[name], root), protocol, split_seed, on_bad)
    place = _find(name, root)
    shown = re.sub(r"[^A-Za-z0-9_.-]+", "-", place.resolve().name).strip("-") or "folder"  # part of metric names
    return folder.load(place, shown, protocol, split_seed, on_bad)


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
    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(f"there is no data set {name!r}: {hint}give a folder, or one of {', '.join(NAMES)}")
