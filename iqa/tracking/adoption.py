"""Runs that another process began: gone on with from this machine, joined, or ended in its place."""

import logging
import os
import time
from pathlib import Path

from iqa.tracking import lock, store
from iqa.tracking.journal import Journal

logger = logging.getLogger("iqa")


def adopt(folder: Path, run_id: str, stage: str, name: str) -> bool:
    """Make a folder that has no journal yet go on with a run that was begun on another machine.

    False if it has a journal, or this store no such run, or nobody is to ask it. Raises Busy if another
    process holds the folder.
    """
    with lock.holding(folder):
        journal = Journal(folder)
        run = None if journal.begin or store.offline() else store.find_run(run_id)
        if run is None:
            return False
        parent = run.data.tags.get("mlflow.parentRunId")
        worked = max(0.0, time.time() - run.info.start_time / 1000)  # samples of the machine go on behind the others'
        journal.start(stage=stage, name=name, experiment=run.info.experiment_id, parent=parent, worked=worked)
        journal.append("joined", run=run_id, experiment=run.info.experiment_id, store=store.shown(store.uri()))
        journal.sync()
        return True


def stand_in(run_id: str, stage: str, name: str) -> None:
    """The run that `mlflow run` made for this process, if any, only joins another: name and tag it so.

    `mlflow run` ends it when we are gone, and our tables leave it out.
    """
    given = os.environ.pop("MLFLOW_RUN_ID", "")
    if given not in ("", run_id) and not store.offline():
        store.take_over(given, stage, name, {"iqa.continues": run_id})


def abandon(run_id: str, reason: str, status: str = "KILLED") -> bool:
    """End a run whose process is gone, or whose journal cannot say so any more, with the reason.

    False if it had ended, or the store fails, or nobody is to ask it.
    """
    if store.offline():
        return False
    try:
        run = store.find_run(run_id)
        if run is None or run.info.status != "RUNNING":
            return False
        store.client().set_tag(run_id, "iqa.reason", reason)
        store.client().set_terminated(run_id, status)
    except store.troubles() as error:
        logger.warning("The run %s still shows as running: %s", run_id, error)
        return False
    return True
