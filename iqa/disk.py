"""Files on this computer's disk: whole or not at all, there for good, or refused; and the folder of caches."""

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # a disk that takes no more
REFUSING = (*FULL, errno.EACCES, errno.EPERM, errno.EIO)  # or lets nobody at it


class CacheError(ValueError):
    """The cache cannot be written; the sentence says where it is set."""


@contextmanager
def whole(file: Path, mode: str = "w", shared: bool = False) -> Iterator[Any]:
    """A file that takes an older one's place when it is whole, or does not appear at all; its folder is there.

    mode: "w" for text in UTF-8, "wb" for bytes. What a kill leaves is replaced the next time, unless the file is
    shared: then several processes may write it at once, each with a temporary file of its own.
    """
    own = uuid.uuid4().hex if shared else hashlib.sha256(os.fsencode(file.name)).hexdigest()
    partial = file.with_name(f".{own[:12]}.partial")
    newline, encoding = (None, None) if "b" in mode else ("", "utf-8")
    try:
        with partial.open(mode, newline=newline, encoding=encoding) as out:
            yield out
        os.replace(partial, file)
    except OSError as error:
        if error.filename == str(partial):  # nobody knows that name
            error.filename, error.filename2 = str(file), None
        raise
    finally:
        partial.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """What was written to a file, or renamed in a folder, survives a power failure when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_digest(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def unwritten(path: Path, error: OSError) -> str:
    """What could not be written, why, and what is free on its disk; the caller adds the remedy."""
    nearest = next(place for place in (path, *path.parents) if place.exists())
    free = shutil.disk_usage(nearest).free
    return f"{path} cannot be written ({error.strerror or error}; {free:,} bytes are free there)"


def refuses(error: BaseException | None) -> bool:
    """Whether an error is, or comes from, a disk that does not take what is written or may not be used: no fault of the
    work that met it, which goes on where there is room.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in REFUSING:
            return True
        error = error.__cause__
    return False


def cache_folder() -> Path:
    """$IQA_CACHE, or ~/.cache/iqa; made if it is not there. Raises CacheError."""
    folder = Path(os.environ.get("IQA_CACHE") or "~/.cache/iqa").expanduser()
    with cached(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def cached(path: Path) -> Iterator[None]:
    """Whatever the disk refuses while `path` of the cache is written becomes a CacheError with the remedy."""
    try:
        yield
    except OSError as error:
        remedy = "make room, or set IQA_CACHE to another folder; the same command goes on"
        raise CacheError(f"{unwritten(path, error)}: {remedy}") from error
