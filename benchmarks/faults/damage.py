"""Damaged checkpoints: cut, flipped, empty, missing, of another format; the one before is used, and that is said."""

import logging
import os
import random
import shutil
from pathlib import Path

import torch

from benchmarks.faults import sabotage
from benchmarks.faults.home import Home
from benchmarks.faults.place import PATIENCE, Place
from benchmarks.faults.row import Outcome
from entrypoints.command import TRY_AGAIN
from iqa import checkpoint
from iqa.randomness import generator
from iqa.tracking import journal

FILES = (checkpoint.TENSORS, checkpoint.STATE, checkpoint.MANIFEST)
OLD, NEW = 7, 8  # steps
CUTS, FLIPS = 13, 24  # of each file
WHOLE = ("empty folder", "a file", "another format", "another kind", "another's manifest")


def cases() -> list[str]:
    """Every damage: 3 files × (13 cuts, 24 flips, empty, missing) and five of the whole folder, 122."""
    each = [f"cut {n}" for n in range(CUTS)] + [f"flip {n}" for n in range(FLIPS)] + ["empty", "missing"]
    return [f"{case} {file}" for file in FILES for case in each] + list(WHOLE)


def damaged(home: Home, name: str, case: str, seed: int, without: str = "") -> Outcome:
    """The newest of two checkpoints is damaged in one way, and asked for."""
    with Place(home, name, without) as place:
        return tuple(place.ask(lambda: _asked(place.folder, case, seed, without)))  # type: ignore[return-value]


def _asked(folder: Path, case: str, seed: int, without: str) -> Outcome:
    sabotage.switch_off(without)
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("iqa").addHandler(handler)
    for step in (OLD, NEW):
        checkpoint.save(folder, step, {"weights": _weights(step), "step": step})
    newest = checkpoint.at(folder, NEW)
    damage(newest, case, random.Random(f"{seed} {case}"))
    found = checkpoint.latest(folder)
    if found is None:
        return "nothing is left", ""
    step, tree = found
    if step == NEW:  # a space of the manifest's layout: all that it vouches for is as it was
        harmless = torch.equal(tree["weights"], _weights(NEW)) and tree["step"] == NEW
        return ("", "harmless") if harmless and "flip" in case else ("the damage was not seen", "")
    return "" if any(newest.name in line for line in told) else "nobody was told", ""


def _weights(step: int) -> torch.Tensor:
    return torch.rand(64, 64, generator=generator(step))


def damage(folder: Path, case: str, draw: random.Random) -> None:
    """Do it."""
    if case in WHOLE:
        _whole(folder, case)
        return
    *words, name = case.split()
    file = folder / name
    content = file.read_bytes()
    at = draw.randrange(len(content))
    bit = bytes([content[at] ^ (1 << draw.randrange(8))])
    if words[0] == "missing":
        file.unlink()
    else:
        file.write_bytes({"cut": content[:at], "flip": content[:at] + bit + content[at + 1 :], "empty": b""}[words[0]])


def _whole(folder: Path, case: str) -> None:
    manifest = folder / checkpoint.MANIFEST
    text = manifest.read_text(encoding="utf-8")
    if case in ("empty folder", "a file"):
        shutil.rmtree(folder)
        folder.mkdir() if case == "empty folder" else folder.write_bytes(b"")
    elif case == "another format":
        manifest.write_text(text.replace('"format": 1', '"format": 2'), encoding="utf-8")
    elif case == "another kind":
        manifest.write_text(text.replace('"training"', '"encoder"'), encoding="utf-8")
    else:
        shutil.copy(checkpoint.at(folder.parent, OLD) / checkpoint.MANIFEST, folder)


def amid_run(home: Home, name: str, stage: str, case: str, seed: int) -> Outcome:
    """The newest checkpoint of a killed run is damaged; the same command goes on from the one before."""
    with Place(home, name) as place:
        place.finish(stage, kill_at="epoch-end:2")
        newest = max((place.run_folder() / "checkpoints").glob("step-*"))
        damage(newest, case, random.Random(f"{seed} {case}"))
        if code := place.finish(stage):
            return f"the same command ended with {code}: {place.said()}", ""
        told = "passed over" in place.out.read_text(encoding="utf-8")
        return "nobody was told" if not told else place.wrong(stage), os.fspath(newest.name)


def best_amid_run(home: Home, name: str, case: str, seed: int) -> Outcome:
    """The weights of the best epoch are damaged when all epochs are done; the same command restores them."""
    with Place(home, name) as place:
        place.finish("finetune", kill_at="best-metric:1")
        best = max((place.run_folder() / "best").glob("step-*"))
        damage(best, case, random.Random(f"{seed} {case}"))
        if code := place.finish("finetune"):
            return f"the same command ended with {code}: {place.said()}", ""
        told = best.name in place.out.read_text(encoding="utf-8")
        return "nobody was told" if not told else place.wrong("finetune"), os.fspath(best.name)


def presupposed(home: Home, name: str, stage: str, what: str, without: str = "") -> Outcome:
    """Something beside an unsent run's checkpoints is damaged: what is lost is done again."""
    with Place(home, name, without) as place:
        place.start(stage, "--offline=true", kill_at="epoch-end:2").wait(PATIENCE)
        if what == "journal":
            file = place.run_folder() / journal.NAME
            file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:3]))
        else:
            for weights in (place.run_folder() / "best").glob(f"*/{checkpoint.TENSORS}"):
                weights.write_bytes(weights.read_bytes()[:-1] + b"?")
        code = place.finish(stage)
        return f"the same command ended with {code}: {place.said()}" if code else place.wrong(stage), ""


def amid_journal(home: Home, name: str, stage: str, without: str = "") -> Outcome:
    """A line within the journal of an unsent run is none: refused, and not a byte thrown away; mended, all is sent."""
    with Place(home, name, without) as place:
        place.start(stage, "--offline=true").wait(PATIENCE)
        file = place.run_folder() / journal.NAME
        whole = file.read_bytes()
        damaged = whole.replace(b'{"what": "metrics"', b'{"what": "m%trics"', 1)
        file.write_bytes(damaged)
        code = place.sync()
        if code != TRY_AGAIN or file.read_bytes() != damaged:
            return f"sync ended with {code}: {place.said()}", ""
        file.write_bytes(whole)
        return (f"sync ended with {code}" if (code := place.sync()) else place.wrong(stage)), ""
