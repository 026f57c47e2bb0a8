"""Which bytes a file holds: sha256, remembered by path, size and time, with every new picture decoded once."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from iqa import images

_FORMAT = 1  # of the memory on disk; another number forgets it


def cache_folder() -> Path:
    """$IQA_CACHE, or ~/.cache/iqa; made if it is not there."""
    folder = Path(os.environ.get("IQA_CACHE") or "~/.cache/iqa").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def file_digest(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digests(root: Path, names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of the pictures `names` under `root`, and a sentence for each that cannot be used.

    A file with the path, size and time of an earlier call is neither read nor decoded again; a bad one always is.
    """
    memory_file = _memory_file(root)
    memory = _recall(memory_file)
    stamps, faults, known = {}, {}, {}
    for name in names:
        try:
            found = os.stat(os.path.join(root, name))
        except OSError as error:
            faults[name] = f"{name!r} cannot be read ({error.strerror}): check the file and its permissions"
            continue
        stamps[name] = [found.st_size, found.st_mtime_ns]
        if name in memory and memory[name][:2] == stamps[name]:
            known[name] = memory[name][2]
    new = [name for name in stamps if name not in known]
    try:
        for name, digest, fault in _inspected(root, new):
            if fault:
                faults[name] = fault
            else:
                known[name] = digest
    finally:  # an interrupted look at a large set goes on where it was
        if new:
            _remember(memory_file, {name: [*stamps[name], digest] for name, digest in known.items()})
    return known, faults


def _inspected(root: Path, names: list[str]) -> Iterator[tuple[str, str, str]]:
    """(name, digest, fault) of each, on all cores, with a bar on a terminal if it takes more than two seconds."""
    from tqdm import tqdm

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        done = pool.map(lambda name: _inspect(root / name), names)
        shown = tqdm(done, "checking pictures", len(names), delay=2, disable=None)
        for name, (digest, fault) in zip(names, shown, strict=True):
            yield name, digest, fault


def _inspect(path: Path) -> tuple[str, str]:
    """(digest, "") of a picture that decodes, ("", sentence) of another."""
    try:
        images.read(path)
        return file_digest(path), ""
    except images.ImageError as error:
        return "", str(error)


def _memory_file(root: Path) -> Path:
    key = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
    return cache_folder() / "digests" / f"{key}.json"


def _recall(path: Path) -> dict[str, list]:
    """What was remembered; a memory that is missing, torn or of another format is empty."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content["files"] if isinstance(content, dict) and content.get("format") == _FORMAT else {}


def _remember(path: Path, files: dict[str, list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    with os.fdopen(descriptor, "w") as handle:
        json.dump({"format": _FORMAT, "files": files}, handle)
    os.replace(temporary, path)
