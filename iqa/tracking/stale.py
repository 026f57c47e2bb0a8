"""Runs that show as running although nobody computes them any more: a kill, a crash, a power failure left them."""

import json
import logging
import socket
import time
from pathlib import Path

from iqa.tracking import folders, lock, reading, store
from iqa.tracking.adoption import abandon
from iqa.tracking.journal import last_status
from iqa.tracking.local import RunRow
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


def _ended(row: RunRow, folder: Path | None) -> bool:
    """End a run if nobody has its folder; where that is not here, or another machine worked in it, by its silence."""
    if folder is None or _holder_host(folder) not in ("", socket.gethostname()):
        return _silent(row) and abandon(row.run_id, REASON)
    with lock.held(folder) as ours:
        return ours and not last_status(folder) and abandon(row.run_id, REASON)  # one that has ended waits for sync


def _silent(row: RunRow) -> bool:
    told = row.tags.get("iqa.heartbeat", "")
    last = int(told) if told.isdecimal() else row.start // 1000
    return time.time() - last > SILENCE


def _holder_host(folder: Path) -> str:
    try:
        return str(json.loads((folder / lock.HOLDER).read_text(encoding="utf-8"))["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
