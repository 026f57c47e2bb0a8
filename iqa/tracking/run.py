"""A run: opened once for a folder, written through its journal, ended with the status it deserves."""

import logging
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from iqa import instants
from iqa.tracking import lock, provenance, store
from iqa.tracking.journal import NAME, Journal, last_status
from iqa.tracking.shipping import Position, Shipper, pending, ship
from iqa.tracking.signals import Stopped, stop_requested

if TYPE_CHECKING:
    from filelock import FileLock

PREFIX = "cfg."  # `mlflow run` has logged the raw -P strings under the bare names
PATIENCE = 20.0  # seconds for a store that fails when the run ends
LONGEST = 600.0  # seconds for one that takes its time: uploads
STOPPED_PATIENCE = 4.0  # seconds for either when asked to stop: ten are left until a cluster kills

logger = logging.getLogger("iqa")


class Unshipped(Exception):
    """The work is done, but the store does not have all of it; exit code 75, "try again later"."""

    exit_code = 75

    def __init__(self, folder: Path, count: int, trouble: str):
        super().__init__(
            f"{count} entries of {folder} have not reached the tracking store ({trouble or 'it took too long'}): they "
            f"are kept, and the entry point sync sends them."
        )
        self.folder = folder


@dataclass(frozen=True)
class Opening:
    """What a run begins with; tags and params as strings."""

    stage: str
    name: str
    params: dict[str, str]
    tags: dict[str, str]
    parent: str | None
    experiment: str
    description: str
    reopen: bool  # also where it has finished: an experiment that is asked for again


@dataclass(eq=False)
class Run:
    """A run of the tracking store, written through the journal in its folder. Use it as a context."""

    folder: Path
    opening: Opening
    resumed: bool = False
    _journal: Journal = field(init=False)
    _lock: "FileLock" = field(init=False)
    _shipper: Shipper = field(init=False)

    @property
    def run_id(self) -> str:
        return self._journal.joined["run"]

    @property
    def cell(self) -> str:
        """The key of the cell that this run computes, "" if it is none."""
        return self.opening.tags.get("cell", "")

    @property
    def openings(self) -> int:
        """How many times this run was begun or gone on with, this one included."""
        return self._journal.openings

    @property
    def finished(self) -> bool:
        return self._journal.status == "FINISHED"

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._journal.metrics({metric_name(name): value for name, value in values.items()}, step)

    def params(self, values: Mapping[str, Any]) -> None:
        self._journal.params({PREFIX + name: str(value) for name, value in values.items()})

    def tags(self, values: Mapping[str, Any]) -> None:
        self._journal.append("tags", values=_strings(values))

    def artifact(self, path: Path, to: str = "") -> None:
        target = (to or path.name) if path.is_dir() else str(Path(to, path.name))
        self._journal.append("artifact", path=self._inside(path), to=target)

    def dataset(self, name: str, digest: str, source: str, context: str, tags: Mapping[str, Any]) -> None:
        about = {"name": name, "digest": digest, "source": source, "context": context}
        self._journal.once("dataset", **about, tags=_strings(tags))

    def model(self, name: str, folder: Path, params: Mapping[str, Any]) -> str:
        plain = re.sub(r"[/:.%\"']", "-", name)  # what MLflow takes in a model's name
        self._journal.once("model", name=plain, path=self._inside(folder), params=_strings(params))
        return plain

    def model_metrics(self, model: str, values: Mapping[str, float], dataset: str, digest: str, step: int) -> None:
        named = {metric_name(name): value for name, value in values.items() if value == value}  # MLflow makes nan 0
        self._journal.model_metrics(model, named, dataset, digest, step)

    def note(self, markdown: str) -> None:
        self.tags({"mlflow.note.content": markdown})

    def sync(self) -> None:
        self._journal.sync()

    def stop_requested(self) -> int:
        return stop_requested()

    def child(self, stage: str, folder: Path, **opening: Any) -> "Run":
        return open_run(stage, folder, parent=self.run_id, **opening)

    def __enter__(self) -> Self:
        self._lock = lock.hold(self.folder)
        opened = False
        try:
            self._journal = Journal(self.folder)
            position = Position(self.folder, self._journal.size)
            self._join(position)
            self._describe()
            opened = True
        finally:
            if not opened:
                lock.release(self.folder, self._lock)
        self._shipper = Shipper(self._journal, position)
        self._shipper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status, tags = outcome(error)
        stopped = status == "KILLED"
        try:
            if tags:
                self.tags(tags)
            instants.reached("last-metrics")
            self._journal.append("end", status=status)
            self._journal.sync()
            patience, longest = (STOPPED_PATIENCE,) * 2 if stopped else (PATIENCE, LONGEST)
            arrived = self._shipper.finish(patience, longest)
        finally:
            lock.release(self.folder, self._lock)
        if arrived:
            return
        unshipped = Unshipped(self.folder, pending(self._journal, self._shipper.position), self._shipper.trouble)
        if error is None:
            raise unshipped
        logger.warning("%s", unshipped)

    def _join(self, position: Position) -> None:
        """The run of this folder's journal, else the one that `mlflow run` made, else a new one."""
        given = os.environ.pop("MLFLOW_RUN_ID", "")  # the first to open takes it, as with MLflow's start_run
        tags = self._first_tags()
        if self._journal.status == "FINISHED" and not self.opening.reopen:
            raise ValueError(f"The run in {self.folder} has finished: a new one needs another folder.")
        self.resumed = bool(self._journal.begin)
        if not self.resumed:
            about = self.opening
            self._journal.start(stage=about.stage, name=about.name, experiment=about.experiment, parent=about.parent)
        earlier = self._journal.joined.get("run", "")
        if earlier and store.find_run(earlier) is not None:
            self._continue(earlier, given, tags)
            return
        if earlier:
            logger.warning("The store has no run %s any more: everything is sent to a new one.", earlier)
            position.reset()
        run, experiment = self._take(given, tags) if given else self._create(tags)
        instants.reached("amid-joining")
        self._journal.append("joined", run=run, experiment=experiment, store=store.shown(store.uri()))
        self._journal.sync()

    def _continue(self, earlier: str, given: str, tags: dict[str, str]) -> None:
        self._journal.append("resumed", pid=os.getpid())
        store.reopen(earlier, tags)
        if given not in ("", earlier):  # `mlflow run` ends it when we are gone; our tables leave it out
            name = f"{self.opening.name} (continued)"
            store.take_over(given, self.opening.stage, name, {"iqa.continues": earlier})

    def _take(self, given: str, tags: dict[str, str]) -> tuple[str, str]:
        return given, store.take_over(given, self.opening.stage, self.opening.name, tags)

    def _create(self, tags: dict[str, str]) -> tuple[str, str]:
        experiment = self._experiment()
        begin = self._journal.begin
        mark = {"iqa.journal": begin["id"]}
        commit = {"mlflow.source.git.commit": tags["git.commit"]} if "git.commit" in tags else {}
        lost = store.marked_run(experiment, mark) if self.resumed else None  # killed before it could note the id
        if lost is not None:
            return lost, experiment
        made = store.create_run(experiment, self.opening.stage, self.opening.name, tags | mark | commit, begin["time"])
        return made, experiment

    def _experiment(self) -> str:
        """A child lies where its parent lies: nothing else shows it below."""
        if self.opening.parent is None:
            return store.experiment_id(self.opening.experiment)
        parent = store.find_run(self.opening.parent)
        if parent is None:
            raise store.StoreError(f"The parent run {self.opening.parent} is not in {store.shown(store.uri())}.")
        return parent.info.experiment_id

    def _first_tags(self) -> dict[str, str]:
        tags = {"stage": self.opening.stage} | self.opening.tags | provenance.commit_tags()
        if self.opening.parent:
            tags["mlflow.parentRunId"] = self.opening.parent
        if self.opening.description:
            tags["mlflow.note.content"] = self.opening.description
        return tags

    def _describe(self) -> None:
        """Params, and the code and packages that this run has."""
        self.params(self.opening.params)
        texts = {"environment.txt": provenance.environment(), "code.diff": provenance.diff()}
        for name, text in texts.items():
            if text:
                (self.folder / name).write_text(text, encoding="utf-8")
                self.artifact(self.folder / name, "provenance")

    def _inside(self, path: Path) -> str:
        """Relative to the folder where it lies in it: the folder may move before everything is sent."""
        full, folder = path.resolve(), self.folder.resolve()
        return str(full.relative_to(folder)) if full.is_relative_to(folder) else str(full)


def open_run(
    stage: str,
    folder: Path,
    *,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, Any],
    parent: str | None = None,
    experiment: str = "iqa",
    description: str = "",
    reopen: bool = False,
) -> Run:
    """The run of a folder, to be used as a context: a new one, or the unfinished one whose journal lies there.

    reopen: a finished one goes on too, instead of being refused.

    Raises Busy if another process holds the folder, StoreError if the store does not answer; at the end Unshipped
    if it has not got everything.
    """
    return Run(folder, Opening(stage, name, _strings(params), _strings(tags), parent, experiment, description, reopen))


def is_finished(folder: Path) -> bool:
    """Whether the run of a folder did all its work, be it shipped or not."""
    return last_status(folder) == "FINISHED"


def sync(folder: Path) -> int:
    """Send what the store lacks of a folder's run; how many entries that was. Raises Unshipped, Busy, StoreError."""
    if not (folder / NAME).is_file():
        raise ValueError(f"{folder} has no {NAME}: it is no run's folder.")
    held = lock.hold(folder)
    try:
        journal = Journal(folder)
        position = Position(folder, journal.size)
        try:
            store.probe(store.uri())
            return ship(journal, position)
        except store.troubles() as error:
            raise Unshipped(folder, pending(journal, position), str(error)) from error
    finally:
        lock.release(folder, held)


def outcome(error: BaseException | None) -> tuple[str, dict[str, str]]:
    """(status, tags) of a run that ended this way."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "FINISHED", {}
    if isinstance(error, Stopped | KeyboardInterrupt):
        number = error.signal if isinstance(error, Stopped) else signal.SIGINT
        return "KILLED", {"iqa.reason": str(error) or "Interrupted.", "iqa.stopped": signal.Signals(number).name}
    if isinstance(error, GeneratorExit):
        return "KILLED", {"iqa.reason": "Its study closed it before its end.", "iqa.stopped": "closed"}
    sentence = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return "FAILED", {"iqa.reason": sentence}


def metric_name(name: str) -> str:
    """A name that MLflow takes: letters, digits, and / _ - . : and spaces, no empty part."""
    return re.sub(r"/+", "/", re.sub(r"[^\w/\-. :]", "_", name)).strip("/")


def _strings(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}
