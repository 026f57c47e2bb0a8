"""Protections of the product, each switched off in some processes: so that the harness is seen to catch the loss."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import serialization

from iqa import checkpoint, machine, tracking
from iqa.encoders import extractor
from iqa.experiment import hands
from iqa.stages import training
from iqa.stages.state import State
from iqa.tracking import journal, lock, run, shipping, signals, store, syncing
from studies.search import claims


def in_place() -> None:
    """Checkpoints are written where they belong, and taken as they are."""

    def write(folder: Path, tree: dict[str, Any], kind: str) -> Path:
        tensors: dict[str, Any] = {}
        state = checkpoint._flatten(tree, "", tensors, set())
        shutil.rmtree(folder, ignore_errors=True)
        checkpoint._write_files(folder, tensors, checkpoint.json.dumps(state).encode(), kind)
        return folder

    checkpoint.write = write
    unverified()


def unverified() -> None:
    """Nobody compares a checkpoint with its manifest."""
    checkpoint._verify = lambda folder, kind: None


def single() -> None:
    """No checkpoint but the newest is kept."""
    checkpoint.save = partial(checkpoint.save, keep=1)


def trusting() -> None:
    """Whatever a file of weights says is done."""
    torch.load = lambda file, *_, **__: serialization.load(file, weights_only=False)


def rewriting() -> None:
    """A resumed run writes again what its journal has."""
    journal.Journal.metrics = lambda self, values, step: self.append("metrics", step=step, values=dict(values))


def new_times() -> None:
    """What is sent again is sent as of now."""
    sent = shipping.Sender._metrics

    def resent(self: shipping.Sender, batch: list[Any]) -> None:
        sent(self, [entry | {"time": time.time_ns() // 10**6} for entry in batch])

    shipping.Sender._metrics = resent


def unlocked() -> None:
    """Nobody asks whether another process works in the folder."""
    from filelock import FileLock

    def hold(folder: Path) -> FileLock:
        folder.mkdir(parents=True, exist_ok=True)
        own = FileLock(folder / f".lock-{os.getpid()}")
        own.acquire()
        return own

    lock.hold = hold


def without_sums() -> None:
    """A checkpoint forgets the running epoch's loss."""
    _forget("sums", {})


def without_own() -> None:
    """A checkpoint forgets what the stage keeps: best value, predictions, curve."""
    _forget("own", {"curve": []})


def without_optimizer() -> None:
    """A resumed run begins with a new optimizer."""
    restore = State.restore

    def forgetful(self: State, tree: dict[str, Any], origin: str) -> None:
        restore(self, tree | {"optimizer": self.optimizer.state_dict()}, origin)

    State.restore = forgetful


def _forget(name: str, empty: Any) -> None:
    tree = State.tree
    State.tree = lambda self: tree(self) | {name: empty}


def deaf() -> None:
    """Signals do what they do to any process."""
    tracking.handle_signals = lambda: None


def unsaved() -> None:
    """Who is asked to stop leaves at once, without a checkpoint."""
    save = training._save

    def unasked(state: State, run: Any) -> None:
        if not run.stop_requested():
            save(state, run)

    training._save = unasked


def unmarked() -> None:
    """A run that was made before a kill is not looked for."""
    store.marked_run = lambda experiment, mark: None


def impatient() -> None:
    """A batch that the store refuses is dropped."""
    send = shipping.Sender.send

    def once(self: shipping.Sender, batch: list[Any]) -> None:
        with suppress(*store.troubles()):
            send(self, batch)

    shipping.Sender.send = once


def forgotten_end() -> None:
    """A run ends as finished, however it ended."""
    run.outcome = lambda error: ("FINISHED", {})


def wall_clock() -> None:
    """What the computer's clock says is believed."""
    journal.Journal._now = lambda self: journal._wall()


def hopeful() -> None:
    """A loss that is no number is trained on."""
    training._refuse_divergence = lambda state: None


def untidy() -> None:
    """What could not be written is left where it is."""
    checkpoint.shutil.rmtree = lambda *_, **__: None


def lenient() -> None:
    """Weights that fit are taken, whatever else is missing."""

    def adopt(net: torch.nn.Module, whose: str, state: dict[str, Any], origin: str) -> dict[str, int]:
        net.load_state_dict(state, strict=False)
        return {"matched": len(state), "missing": 0, "unused": 0}

    extractor.adopt = adopt


def agreeable() -> None:
    """What of a checkpoint fits is taken, whatever config it is of."""

    def restore(self: State, tree: dict[str, Any], origin: str) -> None:
        self.model.load_state_dict(tree["weights"], strict=False)
        self.step, self.epoch, self.sums, self.own = tree["step"], tree["epoch"], tree["sums"], tree["own"]

    State.restore = restore


def untroubled() -> None:
    """A command whose run could not be sent ends as if it were."""
    syncing.Unshipped.exit_code = 0


def gullible() -> None:
    """A checkpoint is gone on from, whatever became of the journal and of the selected weights."""
    latest = checkpoint.latest
    checkpoint.latest = lambda folder, usable=None: latest(folder)


def careless() -> None:
    """A journal is read up to the first line that is none, and cut there."""

    def cut(self: journal.Journal, whole: int) -> None:
        if self.size > whole:
            os.truncate(self.path, whole)

    journal.Journal._cut = cut


def orphaned() -> None:
    """A command goes on when the `mlflow run` around it is gone."""
    signals.sys = SimpleNamespace(platform="none")


def unattached() -> None:
    """A cell that is computed beside others goes on when its experiment is gone."""
    tracking.leave_with_parent = lambda: None


def speechless() -> None:
    """Memory that runs out is an error like any other."""
    machine.enough_memory = lambda remedy: nullcontext()


def unburied() -> None:
    """Nobody ends the run of a cell whose process is gone."""
    hands._epitaph = lambda work: "its process is gone"


def unsupplied() -> None:
    """A resumed run does not say which data it was given."""
    record = run.Run.dataset

    def recorded(self: run.Run, *about: Any) -> None:
        if not self.resumed:
            record(self, *about)

    run.Run.dataset = recorded


def wordless() -> None:
    """An error is a traceback."""
    os.environ["IQA_TRACEBACK"] = "yes"


def unretried() -> None:
    """A trial whose worker died is nobody's."""
    claims.again = lambda study, trial: None


PROTECTIONS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "temporary folder": in_place,
    "manifest": unverified,
    "one before": single,
    "plain tensors": trusting,
    "journal": rewriting,
    "original times": new_times,
    "lock": unlocked,
    "sums": without_sums,
    "own state": without_own,
    "optimizer": without_optimizer,
    "signals": deaf,
    "stop's checkpoint": unsaved,
    "run's mark": unmarked,
    "patience": impatient,
    "status": forgotten_end,
    "steady clock": wall_clock,
    "divergence": hopeful,
    "tidying up": untidy,
    "strict loading": lenient,
    "comparing with the config": agreeable,
    "exit code 75": untroubled,
    "what a checkpoint presupposes": gullible,
    "whole lines": careless,
    "parent's death": orphaned,
    "parent's death in a cell": unattached,
    "remedy for memory": speechless,
    "a killed cell's end": unburied,
    "data of a resumed run": unsupplied,
    "errors as sentences": wordless,
    "retried trials": unretried,
}


def switch_off(name: str) -> None:
    """Do without one of them in this process from now on."""
    PROTECTIONS[name]()
