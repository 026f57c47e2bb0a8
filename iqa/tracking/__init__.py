"""Runs, their journal, their artifacts: the only place that knows MLflow, but for the served model.

A run is a folder with a journal; everything is written there first and shipped to the tracking store in the
background, or later by sync. See journal (the format), run (opening, the verbs, ending), joining, adoption (of what
others began), shipping, sending, patience (while the store is away), serving and champion (the registered model),
syncing, reading, table (MLflow's, with columns), snapshot (many runs at once), local, folders, store, answering,
refusing, lock, signals, system (how busy the machine is), provenance.
"""

from iqa.tracking.adoption import abandon, adopt, stand_in
from iqa.tracking.folders import every as run_folders
from iqa.tracking.folders import runs_folder
from iqa.tracking.journal import SYSTEM, Journal, JournalError
from iqa.tracking.local import RunRow
from iqa.tracking.lock import Busy, held
from iqa.tracking.patience import StillAway, expect_store, persist
from iqa.tracking.reading import (
    best_model,
    compare_url,
    fetch,
    history,
    logged_model,
    look,
    named,
    resolve,
    row,
    rows,
    url,
)
from iqa.tracking.refusing import troubled
from iqa.tracking.run import Run, is_finished, metric_name, open_run
from iqa.tracking.signals import (
    Stopped,
    follow,
    handle_signals,
    leave_with_parent,
    stop_after,
    stop_if_asked,
    stop_requested,
)
from iqa.tracking.silent import Silent
from iqa.tracking.snapshot import Snapshot
from iqa.tracking.stale import reap, silence
from iqa.tracking.store import StoreError, file_of, offline, reach, shown, troubles
from iqa.tracking.syncing import Unshipped, copied, gone, sync, sync_all, sync_patiently, unsent
from iqa.tracking.table import table_url

__all__ = [
    "SYSTEM",
    "Busy",
    "Journal",
    "JournalError",
    "Run",
    "RunRow",
    "Silent",
    "Snapshot",
    "StillAway",
    "Stopped",
    "StoreError",
    "Unshipped",
    "abandon",
    "adopt",
    "best_model",
    "compare_url",
    "copied",
    "expect_store",
    "fetch",
    "file_of",
    "follow",
    "gone",
    "handle_signals",
    "leave_with_parent",
    "held",
    "history",
    "is_finished",
    "logged_model",
    "look",
    "metric_name",
    "named",
    "offline",
    "open_run",
    "persist",
    "reach",
    "reap",
    "resolve",
    "row",
    "rows",
    "run_folders",
    "runs_folder",
    "shown",
    "silence",
    "stand_in",
    "stop_after",
    "stop_if_asked",
    "stop_requested",
    "sync",
    "sync_all",
    "sync_patiently",
    "table_url",
    "troubled",
    "troubles",
    "unsent",
    "url",
]
