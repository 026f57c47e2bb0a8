"""What a journal's entries become in the tracking store: one call a batch of one kind."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqa import instants
from iqa.tracking import champion, serving, store
from iqa.tracking.journal import Entry, artifact_of

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.exceptions import MlflowException

METRICS, PAIRS = 1000, 100  # what MLflow takes at once: metrics; params or tags
MODEL_ID, OF_RUN = "m-", "runs:/"  # how MLflow's ids of models begin; a model by the run that left it

logger = logging.getLogger("iqa")


class Sender:
    """Sends entries of one kind to one run. A value that MLflow refuses for good is named, and left out."""

    def __init__(self, run: str, experiment: str, folder: Path, models: dict[str, str]):
        self.run, self.experiment, self.folder, self.models = run, experiment, folder, models
        self._sends: dict[str, Callable[[list[Entry]], None]] = {
            "metrics": self._metrics,
            "params": self._params,
            "tags": self._tags,
            "dataset": self._dataset,
            "resumed": self._resumed,
            "artifact": self._artifact,
            "model": self._model,
            "candidate": self._candidate,
            "model_metrics": self._model_metrics,
        }

    def send(self, batch: list[Entry]) -> None:
        """One call of the store for the batch; one an entry, then one a value, if it refuses some of them."""
        from mlflow.exceptions import MlflowException

        try:
            self._sends[batch[0]["what"]](batch)
        except MlflowException as error:
            if not _is_refusal(error):
                raise
            if store.find_run(self.run) is None:
                raise store.StoreError(f"The run {self.run} is gone from {store.shown(store.uri())}.") from error
            parts = _parts(batch)
            if not parts:
                logger.warning("MLflow refuses %s: %s", json.dumps(batch[0])[:300], error)
            for part in parts:
                self.send(part)

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

    def _resumed(self, batch: list[Entry]) -> None:
        store.clear(self.run)  # an attempt that went on has not ended as the one before it did

    def _artifact(self, batch: list[Entry]) -> None:
        for entry in batch:
            path = artifact_of(self.folder, entry)
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
            folder = self.folder / entry["path"]
            if "code" in entry:
                serving.upload(model, folder, self.folder / entry["code"])
            else:  # a journal that an earlier version wrote
                store.client().log_model_artifacts(model, str(folder))
            store.client().finalize_logged_model(model, "READY")
            store.client().set_tag(self.run, "iqa.model", model)

    def _candidate(self, batch: list[Entry]) -> None:
        for entry in batch:
            model = self.models.get(entry["model"])  # none where MLflow refused it
            if model:
                result = champion.Result(entry["srcc"], entry["digest"], entry["protocol"])
                champion.stand(self.run, model, result)

    def _model_id(self, entry: Entry) -> str:
        """The model that an attempt before a kill created, else a new one."""
        from mlflow.entities import LoggedModelOutput

        query = f"source_run_id = '{self.run}' AND name = '{entry['name']}'"
        found = store.client().search_logged_models([self.experiment], filter_string=query)
        made = found[0] if found else self._created(entry)
        outputs = store.client().get_run(self.run).outputs
        if made.model_id not in [one.model_id for one in (outputs.model_outputs if outputs else ())]:
            store.client().log_outputs(self.run, [LoggedModelOutput(made.model_id, step=0)])
        return str(made.model_id)

    def _created(self, entry: Entry) -> "LoggedModel":
        return store.client().create_logged_model(
            self.experiment, name=entry["name"], source_run_id=self.run, params=entry["params"], model_type="iqa"
        )

    def _model_metrics(self, batch: list[Entry]) -> None:
        from mlflow.entities import Metric

        for entry in batch:
            about: dict[str, Any] = {"dataset_name": entry["dataset"], "dataset_digest": entry["digest"]}
            about["model_id"] = self.models.get(entry["model"]) or self._earlier(entry["model"])
            rows = [Metric(key, value, when, entry["step"], **about) for key, value, when in entry["rows"]]
            store.client().log_batch(self.run, metrics=rows)

    def _earlier(self, model: str) -> str | None:
        """An earlier run's model, named by its id or by that run's; None if MLflow refused ours: the value stays."""
        if model.startswith(OF_RUN):
            found = store.known(model.removeprefix(OF_RUN))
            self.models[model] = found.data.tags.get("iqa.model", "") if found else ""
            return self.models[model] or None
        return model if model.startswith(MODEL_ID) else None


def _parts(batch: list[Entry]) -> list[list[Entry]]:
    """A batch as smaller ones: its entries, the values of a single entry; [] for what cannot be divided."""
    if len(batch) > 1:
        return [[entry] for entry in batch]
    values = batch[0].get("values", {})
    return [[batch[0] | {"values": {key: value}}] for key, value in values.items()] if len(values) > 1 else []


def _is_refusal(error: "MlflowException") -> bool:
    """Whether MLflow does not take what it was sent, ever: a 400 that is not in its words comes from in between."""
    from mlflow.exceptions import RestException

    theirs = error.error_code == "BAD_REQUEST" and isinstance(error, RestException)
    return theirs or error.error_code == "INVALID_PARAMETER_VALUE"
