"""One process a run folder: the second is refused, and told who holds it."""

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

WAIT = 1.0  # seconds: a process that is just leaving is let go


class Busy(ValueError):
    """Another process works in this folder."""


def hold(folder: Path) -> "FileLock":
    """Lock a run folder for this process; give it back with `release`. Raises Busy within 2 s, naming the holder."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=WAIT)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(
            f"{folder} is in use by {_holder(folder)}: wait for it, stop it, or run with another seed or config."
        ) from None
    (folder / ".holder").write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}), encoding="utf-8")
    return lock


def release(folder: Path, lock: "FileLock") -> None:
    """Let the next process in."""
    (folder / ".holder").unlink(missing_ok=True)
    lock.release()


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / ".holder").read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError):  # it is leaving, or has only just come
        return "another process"
