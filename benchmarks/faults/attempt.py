"""One attempt at a command in a forked process, and what the harness asks of it: pass, note, wait, run out of disk."""

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults import sabotage
from iqa import instants
from iqa.tracking import lock

NOTES = "notes.txt"


@dataclass(frozen=True)
class Attempt:
    """What one process does.

    kill_at: NAME:COUNT of an instant; pace: seconds that it rests after each step; room: from the so-many-th
    checkpoint on, a file may have so many bytes; back: seconds that its clock steps back after the first step;
    without: a protection of the product that is switched off in it.
    """

    stage: str
    words: tuple[str, ...]
    kill_at: str = ""
    pace: float = 0.0
    room: tuple[int, int] = (0, 0)
    back: float = 0.0
    without: str = ""

    def run(self) -> int:
        """Be the command."""
        conduct(self.pace, self.room, self.back)
        sabotage.switch_off(self.without)
        return int(import_module(f"entrypoints.{self.stage}").main(list(self.words)))


def conduct(pace: float, room: tuple[int, int], back: float) -> None:
    """Write down every instant that this process passes, and do at it what was asked for."""
    notes = os.open(NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    passed, begun = instants.reached, 0

    def reached(name: str) -> None:
        nonlocal begun
        os.write(notes, f"{os.getpid()} {time.monotonic():.4f} {name}\n".encode())
        if name == "before-checkpoint":
            begun += 1
            if begun == room[0]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (room[1], resource.RLIM_INFINITY))
        passed(name)
        if name == "after-step":
            time.sleep(pace)
            _step_back(back)

    instants.reached = reached
    _watch(notes)


def _watch(notes: int) -> None:
    """Write down as well how long a refusal took, and a load that trusts its file."""
    hold, load = lock.hold, torch.load

    def loaded(*given: Any, **named: Any) -> Any:
        if not named.get("weights_only", True):
            os.write(notes, f"{os.getpid()} {time.monotonic():.4f} trusting-load\n".encode())
        return load(*given, **named)

    def held(folder: Path) -> Any:
        began = time.monotonic()
        try:
            return hold(folder)
        except lock.Busy:
            os.write(notes, f"{os.getpid()} {began:.4f} refused={time.monotonic() - began:.2f}\n".encode())
            raise

    lock.hold, torch.load = held, loaded


def _step_back(seconds: float) -> None:
    """The clock of this process, once."""
    if seconds and not hasattr(time, "_stepped"):
        now, now_ns = time.time, time.time_ns
        time._stepped = True  # type: ignore[attr-defined]
        time.time, time.time_ns = lambda: now() - seconds, lambda: now_ns() - int(1e9 * seconds)


@dataclass(frozen=True)
class Note:
    """That a process passed an instant, at a time of the monotonic clock."""

    pid: int
    time: float
    name: str


def notes(folder: Path) -> list[Note]:
    """What every process of a place has passed, in order."""
    file = folder / NOTES
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    words = (line.split() for line in lines)
    return [Note(int(pid), float(when), name) for pid, when, name in words]


def counted(folder: Path, name: str) -> int:
    """How often an instant was passed."""
    return sum(note.name == name for note in notes(folder))


def passing(folder: Path, name: str, times: int = 1) -> Callable[[], bool]:
    """Whether an instant was passed so many times by now."""
    return lambda: counted(folder, name) >= times
