"""What a model has seen before it is tested: contents and degradation families, handed on inside the artifacts."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from iqa import checkpoint, datasets, degradations, encoders, tracking
from iqa.datasets import kadid
from iqa.datasets.manifest import listed

MARK = 16  # hex digits of a content's digest that are kept: two of 100,000 pictures agree once in a billion sets


def marks(manifest: datasets.Manifest) -> list[str]:
    """The contents of a manifest, short and sorted."""
    return sorted({digest[:MARK] for digest in manifest.table["digest"]})


def behind(weights: str) -> dict[str, Any]:
    """{"seen": contents, "families": names} of the pretraining that left an encoder; empty ones for any other."""
    folder = tracking.resolve(weights)
    if weights in encoders.KEYWORDS or not Path(folder).is_dir():
        return {"seen": [], "families": []}
    tree = checkpoint.read(folder, kind="encoder")
    families = tree["config"].get("degrade.families", "")
    return {
        "seen": tree.get("origin", {}).get("seen", []),
        "families": list(degradations.expand(families.split(","))) if families else [],
    }


def refuse_seen(parts: Iterable[datasets.Manifest], seen: Iterable[str], weights: str) -> None:
    """Raise DataError if a picture that is to validate or test was trained on."""
    known = set(seen)
    found = [
        path
        for part in parts
        for path, digest in zip(part.table["path"], part.table["digest"], strict=True)
        if digest[:MARK] in known
    ]
    if found:
        raise datasets.DataError(
            f"{len(found)} pictures that validate or test here are among those that {weights} was pretrained on: "
            f"pretrain with the same data, protocol, split_seed, fold and round\n{listed(found)}"
        )


def unseen(target: datasets.Manifest, seen: Iterable[str]) -> datasets.Manifest:
    """The rows of a target set whose pictures the model has not seen in any training; a line tells of the others.

    They are all test rows, whatever the set's own parts are.
    """
    known = set(seen)
    new = [digest[:MARK] not in known for digest in target.table["digest"]]
    target = dataclasses.replace(target, table=target.table.assign(split="test"))
    if all(new):
        return target
    if not any(new):
        raise datasets.DataError(f"the model was trained on every picture of {target.name}: evaluate it on another set")
    left = len(new) - sum(new)
    return target.where(new).with_notes(f"{target.name}: {left} pictures that the model was trained on are left out")


def divided(present: Iterable[str], pretrained: Iterable[str]) -> dict[str, list[str]]:
    """A set's families by what pretraining has seen: the "seen" ones, the "unseen", and those of "unseen_groups".

    An unseen group is one of which pretraining has seen no family.
    """
    trained, families = set(pretrained), [name for name in present if name not in ("", "reference")]
    groups = {degradations.FAMILIES[name].group for name in trained}
    seen = [name for name in families if trained & {name, *kadid.OTHERS.get(name, ("", ()))[1]}]
    return {
        "seen": seen,
        "unseen": [name for name in families if name not in seen],
        "unseen_groups": [name for name in families if group_of(name) not in groups],
    }


def group_of(family: str) -> str:
    """The group of one of our families, or of KADID's others."""
    return degradations.group_of(family, kadid.OTHERS)
