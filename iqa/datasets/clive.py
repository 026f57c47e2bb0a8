"""LIVE in the Wild (Ghadiyaram & Bovik, TIP 2016): 1,162 photographs from mobile cameras."""

import os
import re
from pathlib import Path
from typing import Any

from iqa.datasets.assembly import Entry, Listing
from iqa.datasets.manifest import DataError
from iqa.datasets.published import Published, by_column, entries, pictures
from iqa.datasets.tree import no_file

TREE = "Images/, Data/AllImages_release.mat and Data/AllMOS_release.mat"
RANGE = (0.0, 100.0)
TRAINING = 7  # the first pictures taught the raters, and lie in Images/trainingImages/


def read(annotations: Path, seen: bool = True) -> Listing:
    """The two .mat files, whose arrays lie across each other; the raters' training pictures are left out."""
    names = [str(name) for name in _flat(annotations, "AllImages_release")]
    opinions = [str(value) for value in _flat(annotations.with_name(_sibling(annotations)), "AllMOS_release")]
    if len(names) != len(opinions):
        raise DataError(f"{annotations} names {len(names)} pictures, and there are {len(opinions)} scores beside it")
    kept = list(enumerate(zip(names, opinions, strict=True)))[TRAINING:]
    lines = [(number + 1, [name, opinion]) for number, (name, opinion) in kept]
    tree = pictures(annotations.parent, ("images",), TREE, seen)
    found, faults = entries(
        by_column(annotations, ["image", "mos"], lines, ("image", "mos"))[0],
        tree,
        ("image", "mos"),
        RANGE,
        lambda path, opinion, values: Entry(path, opinion),
    )
    notes = [f"scores are AllMOS_release on 0–100; the first {TRAINING} pictures, the raters' training, are left out"]
    return Listing("clive", Path(tree.inside), annotations, found, RANGE, faults=faults, notes=notes)


def _sibling(annotations: Path) -> str:
    """The name of the file of scores, in the letter case that lies there."""
    wanted = "allmos_release.mat"
    found = [path.name for path in annotations.parent.iterdir() if path.name.casefold() == wanted]
    if not found:
        raise DataError(f"{annotations.parent} has no AllMOS_release.mat: the folder should hold {TREE}")
    if fault := no_file(os.path.realpath(annotations.parent), found[0]):  # a pipe would be waited for
        raise DataError(f"{annotations.with_name(found[0])} {fault}: put the file itself there")
    return found[0]


def _flat(path: Path, key: str) -> list[Any]:
    """The values of a .mat file's only array, whichever way it lies; cells of one string are that string."""
    import numpy as np
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=[key])
        values = np.asarray(content[key]).ravel()
        return [np.asarray(value).ravel()[0] for value in values]
    except (MatReadError, OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError) as error:
        reason = re.sub(r"\s+", " ", str(error)) or type(error).__name__
        raise DataError(f"{path} cannot be read as the published .mat file ({reason}): unpack it again") from error


SET = Published(
    "clive",
    "LIVE in the Wild (CLIVE)",
    "https://live.ece.utexas.edu/research/ChallengeDB/index.html",
    TREE,
    ("AllImages_release.mat",),
    1_162,
    read,
    "free with its copyright notice kept and LIVE (University of Texas at Austin) acknowledged",
)
