"""Runs that show as running although nobody computes them any more: a kill, a crash, a power failure left them."""

import json
import logging
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from iqa.tracking import folders, lock, reading, store
from iqa.tracking.adoption import abandon
from iqa.tracking.journal import NAME, last_status
from iqa.tracking.local import RunRow
from iqa.tracking.patience import patient
from iqa.tracking.shipping import SILENCE

REASON = "Its process is gone (killed, or its machine went down). The same command goes on where it was."

logger = logging.getLogger("iqa")


def reap() -> list[RunRow]:
    """End the stale ones of our runs as KILLED, with the reason as a tag; which ones. Never a living process's."""
    try:
        running = reading.rows(status="RUNNING")
    except store.troubles() as error:
        logger.warning("Whether runs were left behind cannot be seen: %s", error)
        return []
    if not running or store.offline():
        return []
    here = {name: folder for folder in folders.every() for name in folders.names(folder)}
    ended = [row for row in running if _ended(row, here.get(row.run_id))]
    for row in ended:
        logger.info("%s (run %s) was left behind by its process: it is KILLED now", row.name, row.run_id)
    return ended


def silence(folder: Path) -> float:
    """Seconds since the run of a folder last showed life: by its journal, which grows with every epoch and every sample
    of the machine, or by its heartbeat in the store.
    """
    names = folders.names(folder) if (folder / NAME).is_file() else []  # none: it is just beginning
    run = None if store.offline() or not names else patient(store.find_run)(names[-1])
    written = (folder / NAME if names else folder).stat().st_mtime
    return time.time() - max(written, _beat(run.data.tags) if run else 0)


def _ended(row: RunRow, folder: Path | None) -> bool:
    """End a run if nobody has its folder; where that is not here, or another machine worked in it, by its silence."""
    if folder is None or _holder_host(folder) not in ("", socket.gethostname()):
        return _silent(row) and abandon(row.run_id, REASON)
    with lock.held(folder) as ours:
        return ours and not last_status(folder) and abandon(row.run_id, REASON)  # one that has ended waits for sync


def _silent(row: RunRow) -> bool:
    return time.time() - (_beat(row.tags) or row.start // 1000) > SILENCE


def _beat(tags: Mapping[str, str]) -> int:
    """When a run's process last told the store that it lives, in seconds since 1970; 0 if it never did."""
    told = tags.get("iqa.heartbeat", "")
    return int(told) if told.isdecimal() else 0


def _holder_host(folder: Path) -> str:
    try:
        return str(json.loads((folder / lock.HOLDER).read_text(encoding="utf-8"))["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
