"""Which input size each data set gets, out of one value for all of them or NAME=SIZE pairs."""

import dataclasses
import difflib
import re
from collections.abc import Sequence

from iqa import images
from iqa.datasets.manifest import DataError, Manifest

NATIVE = images.NATIVE
SIZE = re.compile(r"native|[1-9][0-9]{0,4}|[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")


def size_of(name: str, input_size: str, known: Sequence[str] = ()) -> str:
    """The size that the data set `name` gets, one that is not named its own: "koniq=512x384,spaq=512" → "512"."""
    pairs = [part.strip() for part in input_size.split(",") if part.strip()]
    if "=" not in input_size:
        pairs = [f"{name}={input_size.strip()}"]
    found = NATIVE
    for pair in pairs:
        whose, _, size = pair.partition("=")
        if not SIZE.fullmatch(size):
            raise DataError(
                f"input_size {pair!r}: a size is native, the short side in pixels (512), or width x height (512x384)"
            )
        if whose not in (*known, name) and (hint := nearest(whose, [*known, name], 0.8)):
            raise DataError(f"input_size names {whose!r}: {hint}a size that no data set takes would change nothing")
        if whose == name:
            found = size
    return found


def applied(manifest: Manifest, input_size: str, resample: str, known: Sequence[str] = ()) -> Manifest:
    """The manifest with the size of each row; what is not native is said in a line."""
    if resample not in images.FILTERS:
        raise DataError(f"resize_filter is {resample!r}: give one of {', '.join(images.FILTERS)}")
    size = size_of(manifest.name, input_size, known)
    table = manifest.table.assign(size="" if size == NATIVE else size)
    own = set(zip(table["width"], table["height"], strict=True))
    resized = [pair for pair in own if pair[0] > 0 and images.target(*pair, size) != pair]
    notes = manifest.notes
    if resized:
        kind = size if "x" in size else f"a short side of {size}"
        notes = (*notes, f"{manifest.name}: pictures are resized to {kind} ({resample})")
    notes = (*notes, *(f"deviation: {deviation}" for deviation in manifest.deviations))
    return dataclasses.replace(manifest, table=table, resample=resample, notes=notes)


def nearest(name: str, valid: Sequence[str], cutoff: float) -> str:
    """The question after the name that was meant, or nothing."""
    near = difflib.get_close_matches(name, valid, n=1, cutoff=cutoff)
    return f"did you mean {near[0]!r}? " if near else ""
