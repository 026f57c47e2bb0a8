"""The undisturbed commands, run once; and everything warmed up that a trial would otherwise pay for."""

import json
import shutil
from pathlib import Path

import torch

from benchmarks.faults import warm
from benchmarks.faults.attempt import Attempt
from benchmarks.faults.home import Home
from benchmarks.faults.place import EARLY, MOST_EPOCHS, PATIENCE, WORDS, Place
from iqa import checkpoint
from iqa.experiment import code


def prepare(home: Home) -> None:
    """Everything that trials need, made once in a home."""
    home.prepare()
    heat(home)
    for stage in WORDS:
        undisturbed(home, stage)


def undisturbed(home: Home, stage: str) -> None:
    """Run a command once, and keep its trace, what it passes and how long it takes."""
    if (home.folder / f"oracle-{stage}.json").is_file():
        return
    with Place(home, f"oracle-{stage}") as place:
        child = place.start(stage)
        code = child.wait(PATIENCE)
        if code:
            raise RuntimeError(f"The undisturbed {stage} ends with {code}: {place.said()}")
        passed = [(note.name, note.time - child.began) for note in place.notes()]
        if stage == EARLY and sum(name == "epoch-end" for name, _ in passed) == MOST_EPOCHS:
            raise RuntimeError("The undisturbed training that is to stop early does not.")
        found, size = place.trace(), largest(place.folder)
        if stage == "pretrain":
            shutil.copytree(place.run_folder() / "encoder", home.folder / "encoder", dirs_exist_ok=True)
    about = {"checkpoint_bytes": size, "trace": found, "passed": passed, "seconds": child.seconds}
    (home.folder / f"oracle-{stage}.json").write_text(json.dumps(about), encoding="utf-8")


def largest(folder: Path) -> int:
    """Bytes of the largest checkpoint's tensors."""
    return max(file.stat().st_size for file in folder.glob(f"runs/*/*/checkpoints/*/{checkpoint.TENSORS}"))


def modules(home: Home) -> list[str]:
    """What the commands import, found out by running them once in a process of their own."""
    kept = home.folder / "modules.json"
    if not kept.is_file():
        with Place(home, "modules") as place:
            found = place.ask(lambda: _rehearse(place))
        kept.write_text(json.dumps(found), encoding="utf-8")
    return list(json.loads(kept.read_text(encoding="utf-8")))


def heat(home: Home) -> None:
    """Import all of it into this process, and compute what every trial would compute again."""
    torch.set_num_threads(1)
    warm.warm(modules(home))
    for stage in ("pretrain", "finetune", "evaluate"):
        code.digest(stage)


def _rehearse(place: Place) -> list[str]:
    if Attempt("main", place.words("main")).run():
        raise RuntimeError("The rehearsal of an experiment failed.")
    return warm.loaded()
