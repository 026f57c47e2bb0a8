"""A run: opened once for a folder, written through its journal, ended with the status it deserves."""

import logging
import os
import re
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from iqa import instants
from iqa.tracking import champion, lock, provenance, store
from iqa.tracking.adoption import abandon
from iqa.tracking.joining import Opening, join
from iqa.tracking.journal import Journal, JournalError, last_status
from iqa.tracking.shipping import STOPPED_PATIENCE, Position, Shipper
from iqa.tracking.signals import Stopped, stop_requested
from iqa.tracking.silent import Kept
from iqa.tracking.stale import reap
from iqa.tracking.syncing import Unshipped
from iqa.tracking.system import Watch, interval

if TYPE_CHECKING:
    from filelock import FileLock

PATIENCE = 20.0  # seconds for a store that fails when the run ends
LONGEST = 600.0  # seconds for one that takes its time: uploads

logger = logging.getLogger("iqa")


@dataclass(eq=False)
class Run:
    """A run of the tracking store, written through the journal in its folder. Use it as a context.

    What each verb means is said once, in `silent.Silent`.
    """

    folder: Path
    opening: Opening
    resumed: bool = False
    worked_before: float = 0.0  # seconds, by earlier openings
    sampling: float = field(default_factory=interval)  # seconds between two looks at the machine, 0 = none
    _journal: Journal = field(init=False)
    _lock: "FileLock" = field(init=False)
    _shipper: Shipper | Kept = field(init=False)
    _watch: Watch = field(init=False)

    @property
    def run_id(self) -> str:
        return self._journal.run_id

    @property
    def page(self) -> str:
        """Where MLflow shows this run, offline its folder; no store is asked."""
        if store.offline():
            return self.folder.absolute().as_uri()
        return store.page(self._journal.joined["experiment"], self.run_id)

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

    def vouches(self, epochs: int) -> bool:
        return self.resumed and all(self._journal.measured(epoch) for epoch in range(1, epochs + 1))

    def params(self, values: Mapping[str, Any]) -> None:
        self._journal.params({store.PREFIX + name: str(value) for name, value in values.items()})

    def tags(self, values: Mapping[str, Any]) -> None:
        self._journal.append("tags", values=_strings(values))

    def artifact(self, path: Path, to: str = "") -> None:
        target = (to or path.name) if path.is_dir() else str(Path(to, path.name))
        inside = self._inside(path)
        near = {"near": os.path.relpath(inside, self.folder.resolve())} if os.path.isabs(inside) else {}
        self._journal.append("artifact", path=inside, to=target, **near)

    def dataset(self, name: str, digest: str, source: str, context: str, tags: Mapping[str, Any]) -> None:
        about = {"name": name, "digest": digest, "source": source, "context": context}
        self._journal.once("dataset", **about, tags=_strings(tags))

    def model(self, name: str, folder: Path, params: Mapping[str, Any], code: Path) -> str:
        told = self.opening.tags
        whole = "-".join(word for word in (told.get("arm"), name, told.get("fold") and f"fold{told['fold']}") if word)
        plain = re.sub(r"[/:.%\"']", "-", whole)  # what MLflow takes in a model's name
        kept = Path(shutil.copyfile(code, self.folder / code.name))  # sent later, it may have changed
        about = {"path": self._inside(folder), "code": self._inside(kept)}
        self._journal.once("model", name=plain, params=_strings(params), **about)
        return plain

    def candidate(self, model: str, srcc: float, digest: str, protocol: str) -> None:
        if champion.admitted(self.opening.tags.get("preset", ""), srcc):
            self._journal.once("candidate", model=model, srcc=srcc, digest=digest, protocol=protocol)

    def model_metrics(self, model: str, values: Mapping[str, float], dataset: str, digest: str, step: int) -> None:
        named = {metric_name(name): value for name, value in values.items() if value == value}  # MLflow makes nan 0
        self._journal.model_metrics(model, named, dataset, digest, step)

    def note(self, markdown: str) -> None:
        self.tags({"mlflow.note.content": markdown})

    def sync(self) -> None:
        self._journal.sync()

    def usage(self) -> dict[str, float]:
        return self._watch.gpu_utilisation()

    def stop_requested(self) -> int:
        return stop_requested()

    def child(self, stage: str, folder: Path, **opening: Any) -> "Run":
        return open_run(stage, folder, parent=self.run_id, **opening)

    def __enter__(self) -> Self:
        self._lock = lock.hold(self.folder)
        opened = False
        try:
            self._journal = Journal(self.folder)
            self.worked_before = self._journal.worked
            position = Position(self.folder, self._journal.size)
            if self._journal.status == "FINISHED" and not self.opening.reopen:
                raise ValueError(f"The run in {self.folder} has finished: a new one needs another folder.")
            self.resumed = bool(self._journal.begin)
            join(self._journal, position, self.opening)
            opened = True
        finally:
            if not opened:
                lock.release(self.folder, self._lock)
        self._shipper = Kept() if store.offline() else Shipper(self._journal, position)
        self._shipper.start()
        self._watch = Watch(self._journal, self.sampling)
        self._watch.start()
        try:
            self._describe()
            if self.opening.parent is None:
                reap()
        except BaseException as error:  # the store shows it as running by now: it ends there as any other run does
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status, tags = outcome(error)
        patience, longest = (STOPPED_PATIENCE,) * 2 if status == "KILLED" else (PATIENCE, LONGEST)
        try:
            self._watch.finish()
            full = self._end(status, tags)
            arrived = self._shipper.finish(patience, longest)
            if full is not None:
                abandon(self.run_id, tags.get("iqa.reason", str(full)), "FAILED" if status == "FINISHED" else status)
        finally:
            lock.release(self.folder, self._lock)
        if full is not None and error is None:
            raise full
        if arrived or full is not None:
            return
        unshipped = Unshipped(self.folder, self._shipper.left(), self._shipper.trouble)
        if error is None:
            raise unshipped
        logger.warning("%s", unshipped)

    def _end(self, status: str, tags: dict[str, str]) -> JournalError | None:
        """The journal's last lines; what kept them from being written, a full disk say."""
        try:
            if tags:
                self.tags(tags)
            instants.reached("last-metrics")
            self._journal.append("end", status=status)
            self._journal.sync()
        except JournalError as full:
            logger.warning("%s", full)
            return full
        return None

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
