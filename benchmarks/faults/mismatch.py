"""Weights and checkpoints of something else: one error that lists what differs, and nothing is loaded in part."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.home import Home
from benchmarks.faults.place import Place
from benchmarks.faults.row import Outcome
from entrypoints.command import BAD_INPUT
from iqa import checkpoint


def architecture(tree: dict[str, Any]) -> str:
    tree["encoder"]["name"] = "resnet18"
    return "resnet18"


def missing(tree: dict[str, Any]) -> str:
    name = next(iter(tree["weights"]))
    del tree["weights"][name]
    return f"missing {plain(name)}"


def extra(tree: dict[str, Any]) -> str:
    tree["weights"]["stranger"] = torch.ones(1)
    return "extra stranger"


def misshapen(tree: dict[str, Any]) -> str:
    name = next(iter(tree["weights"]))
    tree["weights"][name] = torch.ones(2, 2)
    return f"{plain(name)} is (2, 2)"


def plain(name: str) -> str:
    """A tensor's name as the encoder's own net has it."""
    return name.removeprefix("net.")


CHANGES: dict[str, Callable[[dict[str, Any]], str]] = {
    one.__name__: one for one in (architecture, missing, extra, misshapen)
}


def encoder(home: Home, name: str, change: str, without: str = "") -> Outcome:
    """Fine-tune from an encoder's artifact that was changed in one way."""
    with Place(home, name, without) as place:
        tree = checkpoint.read(home.folder / "encoder", "encoder")
        expected = CHANGES[change](tree)
        path = checkpoint.write(place.folder / "changed", tree, "encoder")
        code = place.start("finetune", f"--weights={path}").wait(60)
        return refused(place, code, expected), ""


def another_config(home: Home, name: str, without: str = "") -> Outcome:
    """A run's folder holds the checkpoint of a run with another head."""
    with Place(home, name, without) as place:
        place.finish("finetune", kill_at="epoch-end:1")
        checkpoints = place.run_folder() / "checkpoints"
        shutil.move(checkpoints, place.folder / "other")
        shutil.rmtree(place.folder / "runs")
        place.start("finetune", "--model.attention=false", kill_at="epoch-end:1").wait(60)
        here = place.run_folder() / "checkpoints"
        shutil.rmtree(here)
        shutil.move(place.folder / "other", here)
        before = _content(here)
        code = place.start("finetune", "--model.attention=false").wait(60)
        wrong = refused(place, code, "is not this config's") if code else "a checkpoint of another config was taken"
        return wrong or ("the checkpoint was changed" if _content(here) != before else ""), ""


def refused(place: Place, code: int, expected: str) -> str:
    """What is wrong with how it was refused."""
    said = place.out.read_text(encoding="utf-8")
    fine = code == BAD_INPUT and expected in said and "Traceback" not in said and not _steps(place)
    return "" if fine else f"exit code {code}, '{expected}' expected, {_steps(place)} steps: {place.said()}"


def _steps(place: Place) -> int:
    """How many steps the last process made."""
    notes = place.notes()
    return sum(note.name == "after-step" and note.pid == place.children[-1].pid for note in notes)


def _content(folder: Path) -> list[str]:
    return sorted(checkpoint.digest(path) for path in folder.glob("step-*"))
