"""Several data sets as one, for pretraining: no content of a training part in another set's validation or test."""

import os
from collections import Counter
from pathlib import Path

from iqa.datasets import splits
from iqa.datasets.manifest import DataError, Manifest, listed


def joined(members: list[Manifest], on_bad: str) -> Manifest:
    """One manifest of all; scores of different sets lie on different scales, hence it has none.

    Where a set marks pristine rows, those alone are taken.
    """
    import pandas as pd

    names = [member.name for member in members]
    again = [name for name, count in Counter(names).items() if count > 1]
    if again or len(members) < 2:
        raise DataError(f"several data sets are named with commas, each once, not {', '.join(names) or 'none'}")
    members = [member.references() for member in members]
    root = os.path.commonpath([member.root for member in members])
    tables = [
        member.table.assign(path=[os.path.relpath(member.root / path, root) for path in member.table["path"]])
        for member in members
    ]
    table = pd.concat(tables, ignore_index=True).assign(score=float("nan"), family="", level=-1)
    columns = (list(table[name]) for name in ("path", "digest", "split"))
    faults = splits.leaks(*columns)
    notes = [note for member in members for note in member.notes]
    if faults and on_bad == "error":
        raise DataError(f"{' and '.join(names)} share pictures (pass on_bad=skip to leave them out):\n{listed(faults)}")
    if faults:
        leaking = table.groupby("digest")["split"].transform("nunique") > 1
        table = table[~leaking].reset_index(drop=True)
        notes.append(f"{int(leaking.sum())} pictures stand in different parts of the sets, left out:\n{listed(faults)}")
    protocol = "+".join(dict.fromkeys(member.protocol for member in members))
    return Manifest(
        *("+".join(names), Path(root), table, (0.0, 1.0), "none (several data sets)", protocol, tuple(notes)),
        resample=members[0].resample,
        deviations=tuple(one for member in members for one in member.deviations),
    )
