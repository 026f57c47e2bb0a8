"""What a file holds: sha256 and size in pixels, remembered by path, size and time; every new picture decoded once."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from iqa import disk, images, machine
from iqa.disk import file_digest

_FORMAT = 3  # of the memory on disk; another number forgets it


@dataclass(frozen=True)
class Content:
    """What is known of a picture's file."""

    digest: str
    width: int  # of the upright picture
    height: int


def look(root: Path, names: Iterable[str], fresh: bool = False) -> tuple[dict[str, Content], dict[str, str]]:
    """The contents of the pictures `names` under `root`, and a sentence for each that cannot be used.

    A file with the path, size and time of an earlier call is neither read nor decoded again, unless all of them are
    looked at `fresh`; a bad one always is.
    """
    memory_file = _memory_file(root)
    memory = {} if fresh else _recall(memory_file)
    stamps, faults, known = {}, {}, {}
    for name in names:
        try:
            found = os.stat(os.path.join(root, name))
        except OSError as error:
            faults[name] = f"{name!r} cannot be read ({error.strerror}): check the file and its permissions"
            continue
        stamps[name] = [found.st_size, found.st_mtime_ns]
        if name in memory and memory[name][:2] == stamps[name]:
            known[name] = Content(*memory[name][2:])
    new = [name for name in stamps if name not in known]
    try:
        for name, content in _inspected(root, new):
            if isinstance(content, str):
                faults[name] = content
            else:
                known[name] = content
    finally:  # an interrupted look at a large set goes on where it was
        if new:
            _remember(memory_file, {n: [*stamps[n], c.digest, c.width, c.height] for n, c in known.items()})
    return known, faults


def _inspected(root: Path, names: list[str]) -> Iterator[tuple[str, Content | str]]:
    """(name, content or fault) of each, on all cores, with a bar on a terminal if it takes more than two seconds."""
    from tqdm import tqdm

    with ThreadPoolExecutor(machine.cores()) as pool:
        done = pool.map(lambda name: _inspect(root / name, name), names)
        yield from zip(names, tqdm(done, "checking pictures", len(names), delay=2, disable=None), strict=True)


def _inspect(path: Path, name: str) -> Content | str:
    """The content of a picture that decodes, a sentence about another."""
    try:
        pixels = images.read(path)
        return Content(file_digest(path), pixels.shape[2], pixels.shape[1])
    except images.ImageError as error:
        return str(error).replace(repr(str(path)), repr(name))  # the folder is told once, above all the faults


def _memory_file(root: Path) -> Path:
    key = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
    return disk.cache_folder() / "digests" / f"{key}.json"


def _recall(path: Path) -> dict[str, list]:
    """What was remembered; a memory that is missing, damaged or of another format is empty."""
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if digest.decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
        return {}
    content = json.loads(text)
    return content["files"] if content["format"] == _FORMAT else {}


def _remember(path: Path, files: dict[str, list]) -> None:
    text = json.dumps({"format": _FORMAT, "files": files}).encode()
    with disk.cached(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk.whole(path, "wb", shared=True) as out:
            out.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
