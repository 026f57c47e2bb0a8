"""Reading back: runs as rows, a metric's history, artifacts, and the addresses of MLflow's pages."""

import functools
import gc
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import quote, unquote, urlsplit

from iqa import disk
from iqa.tracking import champion, local, store
from iqa.tracking.folders import runs_folder
from iqa.tracking.local import RunRow
from iqa.tracking.patience import patient
from iqa.tracking.sending import OF_RUN

LOCAL_SCHEMES = ("file", "")
PAGE = 1000  # runs a query
PARENTS = ("experiment", "report")  # stages of the runs that carry an experiment's name
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def here(locally: Callable[Given, Answer]) -> Callable[[Callable[Given, Answer]], Callable[Given, Answer]]:
    """A question to the store, asked patiently, that `locally` answers from this disk where no store is asked."""

    def either(ask: Callable[Given, Answer]) -> Callable[Given, Answer]:
        @functools.wraps(ask)
        def asked(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
            return locally(*args, **kwargs) if store.offline() else patient(ask)(*args, **kwargs)

        return asked

    return either


@here(local.rows)
def rows(experiment: str = store.OURS, *, status: str = "", tags: Mapping[str, str] | None = None) -> list[RunRow]:
    """Our runs, newest first; those with this status and these tags.

    Where: in the experiment that MLFLOW_EXPERIMENT_NAME or _ID says, else in `experiment` and MLflow's Default;
    offline, in the run folders of this disk. Left out are runs without the tag stage, such as the empty ones that
    `mlflow run` made to continue another.
    """
    where = store.home_experiments(experiment)
    parts = ["tags.stage != ''", *([f"attributes.status = '{status}'"] if status else ())]
    query = " AND ".join([*parts, *(f"tags.`{name}` = '{value}'" for name, value in (tags or {}).items())])
    found: list[RunRow] = []
    token: str | None = None
    with _uncollected():
        while where:
            page = store.client().search_runs(
                where, query, max_results=PAGE, order_by=["attributes.start_time DESC"], page_token=token
            )
            found += [_row(run) for run in page]
            token = page.token
            if not token:
                break
    return found


@here(local.row)
def row(run_id: str) -> RunRow:
    """One run. Raises StoreError if the store does not have it."""
    run = store.known(run_id)
    if run is None:
        raise store.StoreError(f"{store.shown(store.uri())} has no run {run_id}: check the id and MLFLOW_TRACKING_URI.")
    return _row(run)


def named(text: str) -> RunRow:
    """The run of this id, the one whose id begins so, or the newest finished one of the experiment of this name.

    Raises StoreError if there is none, or if several ids begin so.
    """
    if re.fullmatch("[0-9a-f]{32}", text):
        return row(text)
    every = rows()
    begun = [one for one in every if one.run_id.startswith(text)] if re.fullmatch("[0-9a-f]{8,31}", text) else []
    if len(begun) > 1:
        raise store.StoreError(f"{len(begun)} runs have an id that begins with {text}: give more digits of it.")
    parents = (one for one in every if one.name == text and one.status == "FINISHED" and one.tags["stage"] in PARENTS)
    found = next(iter(begun), None) or next(parents, None)
    if found is None:
        where = runs_folder() if store.offline() else store.shown(store.uri())
        raise store.StoreError(
            f"{where} has no run whose id is or begins with '{text}', and no finished experiment of this name: give "
            "8 digits of an id or more, and check MLFLOW_TRACKING_URI."
        )
    return found


@here(local.history)
def history(run_id: str, key: str) -> list[tuple[int, float]]:
    """Every (step, value) of a metric, by step."""
    client = store.client()
    found = client.get_metric_history(run_id, key) or client.get_metric_history(row(run_id).run_id, key)
    return sorted((one.step, one.value) for one in found)


@here(local.histories)
def histories(run_ids: Sequence[str], key: str) -> dict[str, list[tuple[int, float]]]:
    """`history` of many runs, in one question where the store is a database; a server's interface has none for it."""
    together = getattr(store.client()._tracking_client.store, "get_metric_history_bulk", None)
    if together is None:
        return {run_id: history(run_id, key) for run_id in run_ids}
    found: dict[str, list[tuple[int, float]]] = {run_id: [] for run_id in run_ids}
    with _uncollected():
        for at in range(0, len(run_ids), PAGE):
            for one in together(run_ids[at : at + PAGE], key, None):
                found[one.run_id].append((one.step, one.value))
    return {run_id: sorted(curve) for run_id, curve in found.items()}


@here(local.fetch)
def fetch(run_id: str, artifact_path: str) -> Path:
    """A run's artifact on this machine: the file or folder itself where it lies here, else a kept copy."""
    found = row(run_id)
    return located(found.run_id, found.artifacts, artifact_path)


@patient
def located(run_id: str, root: str, artifact_path: str) -> Path:
    """`fetch` of a run whose artifacts are known to lie under the address `root`."""
    place = urlsplit(root)
    if place.scheme in LOCAL_SCHEMES:
        found = Path(unquote(place.path), artifact_path)
        if not found.exists():
            raise _missing(run_id, artifact_path, _moved(Path(unquote(place.path))))
        return found
    kept = _copies(run_id) / (quote(artifact_path, safe="") or "%") / Path(artifact_path).name
    return kept if kept.exists() else _download(run_id, artifact_path, kept)


def resolve(where: str, fetch: Callable[[str, str], Path] = fetch) -> Path:
    """runs:/ID/path, or a model of the registry → the artifact on this machine; anything else is a path already."""
    if where.startswith("models:/"):
        return fetch(champion.run_of(where), "model")
    if not where.startswith("runs:/"):
        return Path(where)
    run_id, _, path = where.removeprefix("runs:/").strip("/").partition("/")
    if not run_id or not path:
        raise ValueError(f"'{where}' names no artifact: write runs:/ID/encoder or runs:/ID/model.")
    return fetch(run_id, path)


def best_model() -> tuple[str, str]:
    """(where, what it is) of the model to use where none is named. Raises StoreError if there is none.

    The champion; else, of the newest finished fine-tuning run and those validated on the same data, the best.
    """
    held = None if store.offline() else champion.present()
    if held is not None:
        said = f"the champion, version {held.version} of {champion.NAME}"
        return f"{OF_RUN}{champion.run_of(champion.URI)}/model", said
    found = rows(status="FINISHED", tags={"stage": "finetune"})
    if not found:
        raise store.StoreError(
            "There is no champion and no finished fine-tuning run: run `iqa finetune` or `iqa main` first, or name a "
            "model (runs:/ID/model, models:/NAME/VERSION or a folder)."
        )
    told = found[0].tags.get("validation")
    alike = [one for one in found if told and one.tags.get("validation") == told] or found[:1]
    best = max(alike, key=lambda one: _known(one.metrics.get("best/val_srcc", math.nan)))
    said = f"{best.name}, the best of {len(alike)} finished here, as there is no champion"
    return f"{OF_RUN}{best.run_id}/model", said


@here(local.logged_model)
def logged_model(run_id: str) -> str:
    """What stands for the LoggedModel that a run left, in `model_metrics`; "" if it left none."""
    found = store.known(run_id) if run_id else None
    return found.data.tags.get("iqa.model", "") if found else ""


@here(local.url)
def url(run_id: str) -> str:
    """The page of a run; offline its folder."""
    found = row(run_id)
    return store.page(found.experiment_id, found.run_id)


def compare_url(run_ids: list[str], metrics: list[str] | None = None, row: Callable[[str], RunRow] = row) -> str:
    """MLflow's comparison of runs; of one of the metrics' curves if any is given. Offline the folder of all runs."""
    if store.offline():
        return runs_folder().absolute().as_uri()
    experiments = json.dumps(sorted({row(run_id).experiment_id for run_id in run_ids}), separators=(",", ":"))
    runs = json.dumps(run_ids, separators=(",", ":"))
    if not metrics:
        return f"{store.ui()}/#/compare-runs?runs={quote(runs)}&experiments={quote(experiments)}&{store.TRAINING}"
    keys = quote(json.dumps(metrics, separators=(",", ":")), safe="")
    first = quote(json.dumps(metrics[0]), safe="")
    where = f"runs={quote(runs)}&metric={first}&experiments={quote(experiments)}"
    return f"{store.ui()}/#/metric?{where}&plot_metric_keys={keys}&x_axis=step&{store.TRAINING}"


def look(row: RunRow) -> str:
    """What to type and open to see MLflow's table with this run."""
    address = f"{store.ui()}/#/experiments/{row.experiment_id}/runs?{store.TRAINING}"
    return f"open {address}" if store.uri().startswith("http") else f"mlflow ui, then open {address}"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which looks at everything again for every few objects that MLflow makes.

    Of 4.0 s for 1,000 runs of 50 metrics it took 2.6 (measured).
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _known(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _row(run: "store.Run") -> RunRow:
    info, data = run.info, run.data
    own = {
        name.removeprefix(store.PREFIX): value for name, value in data.params.items() if name.startswith(store.PREFIX)
    }
    return RunRow(
        run_id=info.run_id,
        name=info.run_name or "",
        status=info.status,
        params=own,
        tags=dict(data.tags),
        metrics=dict(data.metrics),
        start=info.start_time,
        end=info.end_time,
        experiment_id=info.experiment_id,
        parent=data.tags.get("mlflow.parentRunId", ""),
        artifacts=info.artifact_uri,
    )


def _copies(run_id: str) -> Path:
    """The copies of a run's artifacts, a folder for each that was asked for: one may be a part of another."""
    return disk.cache_folder() / "artifacts" / run_id


def _download(run_id: str, artifact_path: str, kept: Path) -> Path:
    """Into a folder of its own first, so that half a copy is never taken for a whole one."""
    from mlflow.exceptions import MlflowException

    partial = _copies(run_id).parent / f".partial-{uuid.uuid4().hex[:12]}"
    partial.mkdir(parents=True)
    try:
        loaded = Path(store.client().download_artifacts(run_id, artifact_path, str(partial)))
        kept.parent.mkdir(parents=True, exist_ok=True)
        if loaded.exists() and not kept.exists():
            os.replace(loaded, kept)
    except (MlflowException, OSError) as error:
        if kept.exists():  # another process was faster
            return kept
        if _listed(run_id, artifact_path):  # it is there, and the store went away meanwhile: worth another try
            raise
        raise _missing(run_id, artifact_path) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return kept


def _listed(run_id: str, artifact_path: str) -> bool:
    """Whether the store says that a run has this file or folder."""
    folder = artifact_path.rpartition("/")[0]
    return any(artifact_path in ("", one.path) for one in store.client().list_artifacts(run_id, folder or None))


def _missing(run_id: str, artifact_path: str, moved: str = "") -> ValueError:
    names = [one.path for one in store.client().list_artifacts(run_id)]
    has = f"it has {', '.join(sorted(names))}" if names else "it has none"
    return store.StoreError(f"Run {run_id} has no artifact '{artifact_path}': {moved or has}.")


def _moved(root: Path) -> str:
    """Why a run's artifacts on this disk are out of reach, and the remedy; empty where their folder is in its place.

    A store keeps whole paths, so a working folder that is moved leaves them behind.
    """
    runs = root.parent.parent
    if runs.exists():
        return ""
    return (
        f"the store says that they lie in {runs}, which is not there; if that folder was moved, move it back, "
        f"or leave a link in its place (ln -s WHERE-IT-IS {runs})"
    )
