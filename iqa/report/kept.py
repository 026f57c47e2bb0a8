"""Pictures and resamples made before, found again by everything that decides them: a report makes only what is new."""

import functools
import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from iqa import disk

LIBRARIES = ("matplotlib", "numpy", "pillow", "scikit-learn", "scipy")  # that have a say in a picture's bytes
CODE = ("kept", "plots", "pictures", "looks", "beside", "../statistics/bootstrap", "../statistics/ranks")  # of ours
UNUSED = 60.0  # days after which a picture is forgotten
PLAIN = {str, int, float, bool, type(None)}  # whose repr says all of them
CHECK = hashlib.sha256().digest_size  # bytes before the content

Drawing = Callable[..., bytes]


def kept(draw: Drawing) -> Drawing:
    """The same function of arrays, numbers and text, which draws once what it is asked for twice.

    Kept in the cache; where that cannot be read or written, drawn each time.
    """

    @functools.wraps(draw)
    def drawn(*given: Any, **named: Any) -> bytes:
        try:
            file = folder() / _key(draw, given, named)
        except OSError:
            return draw(*given, **named)
        content = _recalled(file)
        if content is None:
            content = draw(*given, **named)
            _keep(file, content)
        return content

    return drawn


def folder() -> Path:
    """Where they lie."""
    return disk.cache_folder() / "pictures"


def _key(draw: Drawing, given: tuple[Any, ...], named: dict[str, Any]) -> str:
    hasher = hashlib.sha256(f"{_makers()}\n{draw.__module__}.{draw.__qualname__}\n".encode())
    for part in (*_told(given), *_told(named)):
        hasher.update(part)
    return hasher.hexdigest()


@functools.cache
def _makers() -> str:
    """Our code, the libraries and the kind of machine."""
    hasher = hashlib.sha256(repr([(name, version(name)) for name in LIBRARIES]).encode())
    for name in CODE:
        hasher.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return f"{hasher.hexdigest()} {platform.machine()} {platform.python_version()}"


def _told(value: Any) -> Iterator[bytes]:
    """Bytes that differ where a picture may; the order of a mapping is that of its lines and colours."""
    if isinstance(value, np.ndarray):
        yield f"array {value.dtype.str} {value.shape} ".encode()
        yield repr(value.tolist()).encode() if value.dtype.hasobject else np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)} ".encode()
        for item in value.items():
            yield from _told(item)
    elif isinstance(value, list | tuple):
        yield f"sequence {len(value)} ".encode()
        if all(type(one) in PLAIN for one in value):
            yield repr(value).encode()
            return
        for one in value:
            yield from _told(one)
    else:
        assert value is None or isinstance(value, str | int | float | np.generic), (
            f"what a picture is drawn of: {value!r}"
        )
        yield f"{type(value).__name__} {value!r} ".encode()


def _recalled(file: Path) -> bytes | None:
    """A picture as it was kept; None if it is not there, or damaged."""
    try:
        content = file.read_bytes()
        if content[:CHECK] != hashlib.sha256(content[CHECK:]).digest():
            return None
        os.utime(file)
    except OSError:
        return None
    return content[CHECK:]


def _keep(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _forget(file.parent)
        with disk.whole(file, "wb", shared=True) as out:
            out.write(hashlib.sha256(content).digest() + content)
    except OSError:  # a full disk, or one that cannot be written: it is drawn again next time
        return


@functools.cache  # once a process
def _forget(place: Path) -> None:
    """Remove what nobody has asked for in a long time, halves included."""
    oldest = time.time() - 24 * 3600 * UNUSED
    for file in place.iterdir():
        if file.stat().st_mtime < oldest:
            file.unlink(missing_ok=True)
