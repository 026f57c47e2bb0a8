"""One attempt at a command in a forked process, and what the harness asks of it: note, wait, run out of disk."""

import os
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults import sabotage
from benchmarks.faults.home import ROOT
from iqa import instants, loop
from iqa.tracking import lock

NOTES = "notes.txt"
WILD = 1e30
SPARE = 2**29  # bytes: for threads, of which each reserves some


@dataclass(frozen=True)
class Attempt:
    """What one process does.

    kill_at: NAME:COUNT of an instant; pace: seconds that it rests after each step; room: from the so-many-th
    checkpoint on, a file may have so many bytes; back: seconds that its clock steps back after the first step;
    starved: the step after which its memory runs out; wild: the one after which its rate is WILD times what it should
    be; without: a protection of the product that is switched off in it.
    """

    stage: str
    words: tuple[str, ...]
    kill_at: str = ""
    pace: float = 0.0
    room: tuple[int, int] = (0, 0)
    back: float = 0.0
    starved: int = 0
    wild: int = 0
    without: str = ""

    def run(self) -> int:
        """Be the command."""
        self.conduct()
        sabotage.switch_off(self.without)
        entry, _, _ = self.stage.partition(" ")
        return int(import_module(f"entrypoints.{entry}").main(list(self.words)))

    def conduct(self) -> None:
        """Write down every instant that this process passes from now on, and do at it what is asked for."""
        notes = os.open(NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        passed, times = instants.reached, Counter[str]()

        def reached(name: str) -> None:
            times[name] += 1
            os.write(notes, f"{os.getpid()} {time.monotonic():.4f} {name}\n".encode())
            if (name, times[name]) == ("before-checkpoint", self.room[0]):
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.room[1], resource.RLIM_INFINITY))
            passed(name)
            if name == "after-step":
                self._after_step(times[name])

        instants.reached = reached
        _watch(notes)

    def _after_step(self, number: int) -> None:
        time.sleep(self.pace)
        _step_back(self.back)
        if number == self.wild:
            _run_wild()
        if number == self.starved:
            _starve()


def everywhere(folder: Path, without: str = "", pace: float | None = None) -> str:
    """A PYTHONPATH with which every Python that is started does without a protection, and notes its instants."""
    lines = [f"attempt.Attempt('', (), pace={pace}).conduct()"] if pace is not None else []
    lines += [f"sabotage.switch_off({without!r})"] if without else []
    if not lines:
        return str(ROOT)
    lines = ["from benchmarks.faults import attempt, sabotage", *lines]
    body = "".join(f"    {line}\n" for line in lines)  # Python's own tracker of resources needs none of it
    code = f"import sys\n\nif not any('resource_tracker' in word for word in sys.orig_argv):\n{body}"
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    return f"{folder}{os.pathsep}{ROOT}"


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


def _run_wild() -> None:
    """From now on no net bears the learning rate."""
    steady = loop.set_lr
    loop.set_lr = lambda optimizer, multiplier: steady(optimizer, WILD * multiplier)


def _starve() -> None:
    """This process may have SPARE bytes more than it has, and asks for more, as a batch that is too large does."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE, resource.RLIM_INFINITY))
    torch.empty(4 * SPARE, dtype=torch.uint8)


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
