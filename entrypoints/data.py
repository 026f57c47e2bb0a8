"""mlflow run . -e data -P action=list | prepare | verify: which data sets there are, made ready, and checked.

iqa data list --data_root=/data                  what is where, with licence and page
iqa data prepare --data=koniq --data_root=/data  writes the manifest; with --cache=yes its resized pixels as well
iqa data verify --data=FOLDER                    reads everything again, reports every fault, exits with 2 if any
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from . import command

FLAGS = {
    "action": "list, prepare or verify",
    "preset": "whose data set is meant where none is given, and whose input size",
    "cache": "prepare: yes writes the resized pixels too",
    "count": "verify: how many pictures there should be; as published where it is left out",
    "pictures": "verify: no checks the file with the scores alone",
}


def main(argv: list[str] | None = None) -> int:
    """Do what the first word says; nothing is ever downloaded."""

    def work() -> int:
        words = list(sys.argv[1:] if argv is None else argv)
        first = words.pop(0) if words and not words[0].startswith("-") else ""
        given, rest = command.parse(__doc__, words, **FLAGS)
        from iqa import config

        action = first or given.action or "list"
        if action not in ACTIONS:
            raise config.ConfigError(config.unknown("action", action, list(ACTIONS)))
        known = {name: full for name, full in config.FLAT["finetune"].items() if full.startswith("data.")}
        valid = [*known, *(name for name in config.field_names("finetune") if name.startswith("data."))]
        for name in rest:
            if name not in valid:
                raise config.ConfigError(config.unknown("parameter", name, [*FLAGS, *valid], " of data"))
        return ACTIONS[action](config.load("finetune", rest, given.preset or "demo").data, given)

    return command.ended(work)


def show_sets(data: Any, given: Any) -> int:
    """A paragraph for each data set that has a name."""
    from iqa import datasets
    from iqa.datasets import pixels, published

    top = os.path.abspath(os.path.expanduser(data.root or "."))
    for name in datasets.NAMES:
        cached = ", ".join(f"{file.parent.name} ({file.stat().st_size:,} bytes)" for file in pixels.files_of(name))
        if name not in datasets.PUBLISHED:
            print(f"{name}\n  built-in, made on first use; synthetic scores")
        else:
            one = datasets.PUBLISHED[name]
            try:
                found = published.located(one, data.root)
                absent = f"not in {os.path.join(top, name)} nor {top}: should be {one.tree}"
            except OSError as error:  # the other sets are there all the same
                found, absent = None, command.sentence(error)
            print(f"{name}\n  {one.title}, {one.count:,} pictures\n  {found.parent if found else absent}")
            print(f"  licence: {one.licence}\n  {one.page}")
        if cached:
            print(f"  cached pixels: {cached}")
    print("any other name is a folder of pictures, with one csv of scores or none")
    return 0


def prepare(data: Any, given: Any) -> int:
    """Write the manifest, and the pixels where that is asked for."""
    from iqa import datasets
    from iqa.datasets import preparation

    cache = command.switch("cache", given.cache)
    manifest = datasets.load(**data.model_dump())
    for note in manifest.notes:
        print(note)
    print(f"manifest of {len(manifest):,} pictures, digest {manifest.digest}: {preparation.write_manifest(manifest)}")
    for filled in preparation.fill_cache(manifest) if cache else ():
        print(f"pixels: {filled.written:,} written, {filled.present:,} there already")
        print(f"  {filled.file}, {filled.size:,} bytes")
    return 0


def verify(data: Any, given: Any) -> int:
    """Say everything that is right and everything that is wrong."""
    from iqa.datasets.assembly import Turn, counted
    from iqa.datasets.verification import verify as look

    seen = command.switch("pictures", given.pictures or "yes")
    count = command.whole("count", given.count, 0) or None
    faults: list[str] = []
    for name in [part.strip() for part in data.name.split(",")] if not os.path.isdir(data.name) else [data.name]:
        found = look(
            name,
            data.root,
            Turn(data.protocol, data.split_seed, data.fold, data.round),
            seen=seen,
            count=count,
            input_size=data.input_size,
            resample=data.resize_filter,
        )
        print("\n".join(found.facts))
        for fault in found.faults:
            print(f"fault: {fault}")
        faults += found.faults
    print(counted(faults) if faults else "nothing is wrong")
    return command.BAD_INPUT if faults else 0


ACTIONS: dict[str, Callable[[Any, Any], int]] = {"list": show_sets, "prepare": prepare, "verify": verify}


if __name__ == "__main__":
    raise SystemExit(main())
