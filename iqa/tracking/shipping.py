"""Journal → tracking store: one background thread, in batches, with the original timestamps, for as long as it takes.

Two lanes, each with its own position, so that an artifact store that fails holds up no metric. What is sent again
after a kill is the same again: MLflow drops exact repeats of (key, timestamp, step, value).
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from iqa import instants
from iqa.tracking import store
from iqa.tracking.journal import Entry, Journal

LANES = {  # in this order: what fails in the second waits for nothing in the first
    "data": ("metrics", "params", "tags", "dataset"),
    "files": ("artifact", "model", "model_metrics"),
}
METRICS, PAIRS = 1000, 100  # what MLflow takes at once: metrics; params or tags
RHYTHM = 0.5  # seconds between looks at the journal
LONGEST_PAUSE = 30.0  # seconds between attempts at a store that fails
HEARTBEAT = 60.0  # seconds
NAME = "shipped.json"
MODEL_ID = "m-"  # how MLflow's ids of models begin

logger = logging.getLogger("iqa")


class Position:
    """How far each lane has been shipped, which models the store has, and which end it knows."""

    def __init__(self, folder: Path, size: int):
        self.path = folder / NAME
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # none, or torn by a power failure: everything is sent again
            kept = {}
        self.lanes: dict[str, int] = {lane: min(kept.get(lane, 0), size) for lane in LANES}
        self.models: dict[str, str] = kept.get("models", {})
        self.ended: int = kept.get("ended", 0)

    def reset(self) -> None:
        """Everything is to be sent again: to another run."""
        self.lanes, self.models, self.ended = dict.fromkeys(LANES, 0), {}, 0
        self.save()

    def save(self) -> None:
        """Whole or not at all."""
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.lanes | {"models": self.models, "ended": self.ended}), encoding="utf-8")
        os.replace(partial, self.path)


class Shipper:
    """Ships a run's journal from a thread of its own; nothing here ever stops the run."""

    def __init__(self, journal: Journal, position: Position):
        self.journal, self.position = journal, position
        self.trouble = ""  # the last failure's sentence while the store fails
        self._beat = 0.0
        self._leave = threading.Event()
        self._give_up = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._work, name="shipping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, patience: float, longest: float) -> bool:
        """Ship the rest; whether all of it arrived.

        A store that fails is given `patience` seconds from now on, one that takes its time `longest` seconds.
        """
        began = time.monotonic()
        self._leave.set()
        self._hurry.set()
        while self._thread.is_alive() and time.monotonic() - began < (patience if self.trouble else longest):
            self._thread.join(0.05)
        self._give_up.set()
        self._hurry.set()
        self._thread.join(1.0)  # longer only if a call hangs; what it still sends, a later sync repeats harmlessly
        return not self._thread.is_alive() and not self.trouble and pending(self.journal, self.position) == 0

    def _work(self) -> None:
        pause = RHYTHM
        while not self._give_up.is_set():
            leaving = self._leave.is_set()  # read first: what was written before it was set is shipped below
            self._hurry.clear()
            arrived = self._attempt()
            if leaving and arrived:
                return
            pause = RHYTHM if arrived else min(2 * pause, 1.0 if leaving else LONGEST_PAUSE)
            self._hurry.wait(pause)

    def _attempt(self) -> bool:
        try:
            if self.trouble:
                store.probe(store.uri())
            self._heartbeat()
            ship(self.journal, self.position)
        except store.troubles() as error:
            if not self.trouble:
                logger.warning("The tracking store fails, the run goes on, its journal keeps everything: %s", error)
            self.trouble = str(error) or repr(error)
            return False
        if self.trouble:
            logger.warning("The tracking store answers again.")
        self.trouble = ""
        return True

    def _heartbeat(self) -> None:
        if time.monotonic() - self._beat < HEARTBEAT and self._beat:
            return
        store.client().set_tag(self.journal.joined["run"], "iqa.heartbeat", str(int(time.time())))
        self._beat = time.monotonic()


def pending(journal: Journal, position: Position) -> int:
    """How many entries have not arrived in the store."""
    waiting = sum(entry["what"] in LANES[lane] for lane in LANES for entry, _ in journal.read(position.lanes[lane]))
    return waiting + (bool(journal.status) and position.ended < journal.size)


def ship(journal: Journal, position: Position) -> int:
    """Send everything once, in order, the end last; how many entries. Raises what the store raises."""
    sender = Sender(journal.joined["run"], journal.joined["experiment"], journal.path.parent, position.models)
    sent = sum(_ship_lane(lane, journal, position, sender) for lane in LANES)
    if journal.status and position.ended < journal.size:
        *_, (end, after) = journal.read(0)
        instants.reached("before-finished")
        store.client().set_terminated(sender.run, end["status"], end_time=end["time"])
        position.ended = after
        position.save()
    return sent


def _ship_lane(lane: str, journal: Journal, position: Position, sender: "Sender") -> int:
    sent = 0
    for batch, after in batches(journal.read(position.lanes[lane]), LANES[lane]):
        if batch:
            sender.send(batch)
            instants.reached("batch-sent")
            sent += len(batch)
        position.lanes[lane] = after
        position.save()
    return sent


def batches(entries: Iterator[tuple[Entry, int]], wanted: tuple[str, ...]) -> Iterator[tuple[list[Entry], int]]:
    """Runs of entries of one kind that fit into one call, and the position after each; the last may be empty."""
    limits = {"metrics": METRICS, "params": PAIRS, "tags": PAIRS}
    batch: list[Entry] = []
    held = after = 0
    for entry, end in entries:
        if entry["what"] in wanted:
            weight = len(entry.get("values", ()))
            kind = batch[0]["what"] if batch else entry["what"]
            if batch and (kind != entry["what"] or held + weight > limits.get(kind, 0)):
                yield batch, after
                batch, held = [], 0
            batch, held = [*batch, entry], held + weight
        after = end
    if after:
        yield batch, after


class Sender:
    """Sends entries of one kind to one run. A value that MLflow refuses for good is named, and left out."""

    def __init__(self, run: str, experiment: str, folder: Path, models: dict[str, str]):
        self.run, self.experiment, self.folder, self.models = run, experiment, folder, models
        self._sends: dict[str, Callable[[list[Entry]], None]] = {
            "metrics": self._metrics,
            "params": self._params,
            "tags": self._tags,
            "dataset": self._dataset,
            "artifact": self._artifact,
            "model": self._model,
            "model_metrics": self._model_metrics,
        }

    def send(self, batch: list[Entry]) -> None:
        """One call of the store for the batch; one an entry if it refuses some of them."""
        from mlflow.exceptions import MlflowException

        try:
            self._sends[batch[0]["what"]](batch)
        except MlflowException as error:
            if error.error_code not in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"):
                raise
            if store.find_run(self.run) is None:
                raise store.StoreError(f"The run {self.run} is gone from {store.shown(store.uri())}.") from error
            if len(batch) == 1:
                logger.warning("MLflow refuses %s: %s", json.dumps(batch[0])[:300], error)
                return
            for entry in batch:
                self.send([entry])

    def _metrics(self, batch: list[Entry]) -> None:
        from mlflow.entities import Metric

        rows = [Metric(key, value, e["time"], e["step"]) for e in batch for key, value in e["values"].items()]
        for at in range(0, len(rows), METRICS):
            store.client().log_batch(self.run, metrics=rows[at : at + METRICS])

    def _params(self, batch: list[Entry]) -> None:
        from mlflow.entities import Param

        pairs = [Param(key, value) for entry in batch for key, value in entry["values"].items()]
        for at in range(0, len(pairs), PAIRS):
            store.client().log_batch(self.run, params=pairs[at : at + PAIRS])

    def _tags(self, batch: list[Entry]) -> None:
        from mlflow.entities import RunTag

        latest = {key: value for entry in batch for key, value in entry["values"].items()}
        pairs = [RunTag(key, value) for key, value in latest.items()]
        for at in range(0, len(pairs), PAIRS):
            store.client().log_batch(self.run, tags=pairs[at : at + PAIRS])

    def _dataset(self, batch: list[Entry]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        for entry in batch:
            about = Dataset(entry["name"], entry["digest"], "local", json.dumps({"uri": entry["source"]}))
            tags = {"mlflow.data.context": entry["context"]} | entry["tags"]
            inputs = [DatasetInput(about, [InputTag(key, value) for key, value in tags.items()])]
            store.client().log_inputs(self.run, datasets=inputs)

    def _artifact(self, batch: list[Entry]) -> None:
        for entry in batch:
            path = self.folder / entry["path"]  # an absolute path stays what it is
            if path.is_dir():
                self._folder(path, entry["to"])
            elif path.is_file():
                inside = str(Path(entry["to"]).parent)
                store.client().log_artifact(self.run, str(path), None if inside == "." else inside)
            else:
                logger.warning("%s was to be uploaded and is not there any more.", path)

    def _folder(self, path: Path, to: str) -> None:
        for file in sorted(inside for inside in path.rglob("*") if inside.is_file()):
            store.client().log_artifact(self.run, str(file), str(Path(to, file.relative_to(path).parent)))
            instants.reached("amid-upload")

    def _model(self, batch: list[Entry]) -> None:
        for entry in batch:
            self.models[entry["name"]] = model = self._model_id(entry)
            store.client().log_model_artifacts(model, str(self.folder / entry["path"]))
            store.client().finalize_logged_model(model, "READY")
            store.client().set_tag(self.run, "iqa.model", model)

    def _model_id(self, entry: Entry) -> str:
        """The model that an attempt before a kill created, else a new one."""
        from mlflow.entities import LoggedModelOutput

        query = f"source_run_id = '{self.run}' AND name = '{entry['name']}'"
        found = store.client().search_logged_models([self.experiment], filter_string=query)
        if found:
            return found[0].model_id
        made = store.client().create_logged_model(
            self.experiment, name=entry["name"], source_run_id=self.run, params=entry["params"], model_type="iqa"
        )
        store.client().log_outputs(self.run, [LoggedModelOutput(made.model_id, step=0)])
        return made.model_id

    def _model_metrics(self, batch: list[Entry]) -> None:
        from mlflow.entities import Metric

        for entry in batch:
            about: dict[str, Any] = {"dataset_name": entry["dataset"], "dataset_digest": entry["digest"]}
            # an earlier run's model comes by its id, our own by its name; None if MLflow refused that: the value stays
            known = entry["model"] if entry["model"].startswith(MODEL_ID) else None
            about["model_id"] = self.models.get(entry["model"], known)
            rows = [Metric(key, value, when, entry["step"], **about) for key, value, when in entry["rows"]]
            store.client().log_batch(self.run, metrics=rows)
