"""What may go from the run folders: told with its size and why, and removed only where that is asked for."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iqa import tracking

TRAINING = ("checkpoints", "best")  # folders of a training stage: to go on from; weights that the model is made of
TEMPORARY = (".tmp-*", ".old-*", "*.partial")  # what a killed process was writing, or removing


@dataclass(frozen=True)
class Spare:
    """Files or folders of one run that nothing needs; why: a sentence without its end."""

    folder: Path
    paths: tuple[Path, ...]
    size: int
    why: str


@dataclass(frozen=True)
class Kept:
    """A run's folder of which nothing may go."""

    folder: Path
    why: str


def survey(remove: bool) -> Iterator[Spare | Kept]:
    """Every run folder of this disk that has something to spare, or that is kept for a reason.

    Never of a run that a process holds, or that is another user's. What a killed process left half-written goes of any
    other, an unfinished one's checkpoints where a later attempt has finished, and more of those that have finished and
    that the store has wholly.
    """
    for folder in tracking.run_folders():
        with tracking.held(folder) as ours:
            if not ours:
                yield Kept(folder, "in use, or another user's")
                continue
            for found in _spared(folder):
                if isinstance(found, Spare) and remove:
                    _remove(found)
                yield found


def _spared(folder: Path) -> Iterator[Spare | Kept]:
    yield from _spare(folder, [path for name in TEMPORARY for path in folder.rglob(name)], "left by a killed process")
    training = [folder / name for name in TRAINING if (folder / name).is_dir()]
    if not tracking.is_finished(folder):
        if _superseded(folder):
            yield from _spare(folder, training, "a later attempt at the same cell has finished")
        elif training:
            yield Kept(folder, "it has not finished, and goes on from its checkpoints")
        return
    try:
        waiting = tracking.unsent(folder)
    except tracking.JournalError as error:
        yield Kept(folder, str(error))
        return
    if waiting:
        yield Kept(folder, f"{waiting} entries of it are not in the store: `iqa sync` sends them")
        return
    if tracking.gone(folder):
        yield Kept(folder, "the store has no run of it any more: this is all there is")
        return
    yield from _spare(folder, training, "it has finished: nothing goes on from its checkpoints")
    copies = [path for path in tracking.copied(folder) if path not in training]
    yield from _spare(folder, copies, "the store has the same files")


def _spare(folder: Path, paths: list[Path], why: str) -> Iterator[Spare]:
    if paths:
        yield Spare(folder, tuple(paths), sum(_size(path) for path in paths), why)


def _superseded(folder: Path) -> bool:
    """Whether a later attempt beside this one has finished: the newest is what goes on, never this one."""
    if not folder.name.isdigit():
        return False
    later = (other for other in folder.parent.iterdir() if other.name.isdigit() and int(other.name) > int(folder.name))
    return any(tracking.is_finished(other) for other in later)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(spare: Spare) -> None:
    for path in spare.paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
