"""One process a run folder: the second is refused, and told who holds it."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from iqa import disk

if TYPE_CHECKING:
    from filelock import FileLock

HOLDER = ".holder"
WAIT = 1.0  # seconds: a process that is just leaving is let go


class Busy(ValueError):
    """Another process works in this folder."""


class NotOurs(ValueError):
    """The folder is another user's, in runs that several share: only they may write to it."""


def hold(folder: Path) -> "FileLock":
    """Lock a run folder for this process; give it back with `release`.

    Raises Busy within 2 s, naming the holder; NotOurs where we may not write, ValueError where nothing can be written.
    """
    lock = _taken(folder, WAIT)
    if lock is None:
        raise Busy(
            f"{folder} is in use by {_holder(folder)}: wait for it, stop it, or run with another seed or config."
        )
    return lock


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """The folder is ours while this lasts. Raises what `hold` does."""
    lock = hold(folder)
    try:
        yield
    finally:
        release(folder, lock)


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Whether the folder is ours while this lasts; nobody waits. Another user's is never."""
    try:
        lock = _taken(folder, 0.0)
    except NotOurs:
        lock = None
    try:
        yield lock is not None
    finally:
        if lock is not None:
            release(folder, lock)


def _taken(folder: Path, wait: float) -> "FileLock | None":
    from filelock import FileLock, Timeout

    about = {"pid": os.getpid(), "host": socket.gethostname()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=wait)
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        (folder / HOLDER).write_text(json.dumps(about), encoding="utf-8")
    except OSError as error:
        if error.errno not in disk.FULL:  # who holds it is for the next one to read: a full disk can still be cleaned
            lock.release()
            raise _unwritable(folder, error) from error
    return lock


def release(folder: Path, lock: "FileLock") -> None:
    """Let the next process in."""
    (folder / HOLDER).unlink(missing_ok=True)
    lock.release()


def _unwritable(folder: Path, error: OSError) -> ValueError:
    kind = NotOurs if isinstance(error, PermissionError) else ValueError
    return kind(f"{disk.unwritten(folder, error)}: make room or make it writable, or set IQA_RUNS to another folder.")


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError):  # it is leaving, or has only just come
        return "another process"
