"""Processes that end with this one: forked from it when it has imported everything, or other programs."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

BROKEN = 70  # exit code of a child that raised: no command of ours ends with it
POLL = 0.01  # seconds
DYING = 60.0  # seconds that a killed process may take: its memory is given back first
SHOWN = 80  # characters of a command line
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child:
    """A process of its own session, forked from this one: imports are paid once. Its output goes to a file."""

    def __init__(self, work: Callable[[], int | None], out: Path, environment: Mapping[str, str], folder: Path):
        sys.stdout.flush()
        sys.stderr.flush()
        self.began = time.monotonic()
        self.code: int | None = None  # as subprocess says it: the signal's number below zero
        self.pid = os.fork()
        if self.pid == 0:
            _live(work, out, environment, folder)

    def poll(self) -> int | None:
        """Its exit code, None while it lives."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                self.seconds = time.monotonic() - self.began
        return self.code

    def wait(self, patience: float) -> int:
        """Its exit code; one that is not gone in time is killed: -9."""
        if not until(lambda: self.poll() is not None, patience):
            self.signal(signal.SIGKILL)
            until(lambda: self.poll() is not None, DYING)
        return self.code if self.code is not None else -signal.SIGKILL

    def signal(self, number: int) -> None:
        """Send a signal, if it is still there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """It, and whatever it has started."""
        self.wait(0)
        end(self.pid)


class Program:
    """Another program, in a session of its own, of which nothing goes on without this process. Its output in a file."""

    def __init__(self, command: Sequence[str], out: Path, environment: Mapping[str, str], folder: Path):
        with out.open("ab") as written:
            streams = {"stdin": subprocess.DEVNULL, "stdout": written, "stderr": written}
            self._process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams)
        self.pid = self._process.pid
        self._watch = Watch(self.pid)

    def poll(self) -> int | None:
        """Its exit code, None while it lives."""
        return self._process.poll()

    def wait(self, patience: float) -> int:
        """Its exit code; one that is not gone in time is killed, with whatever it has started: -9."""
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.end()
            return self._process.returncode

    def signal(self, number: int) -> None:
        """Send a signal to it alone, if it is still there."""
        self._process.send_signal(number)

    def end(self) -> None:
        """It, and whatever it has started; again is harmless."""
        self._watch.end()
        self._process.wait()


def _live(work: Callable[[], int | None], out: Path, environment: Mapping[str, str], folder: Path) -> None:
    """What the child does, to its end."""
    os.setsid()
    follow()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    written = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(stream, target)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    code = BROKEN
    try:
        code = work() or 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    finally:
        if code == BROKEN:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def follow(number: int = signal.SIGKILL) -> None:
    """On Linux, get this signal when the process that forked this one dies: nothing of a killed harness goes on."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def answered(
    work: Callable[[], Any], out: Path, environment: Mapping[str, str], folder: Path, patience: float = 300.0
) -> Any:
    """What a function returns, computed in a child, so that nothing of it stays in this process; plain JSON."""
    answer = out.with_suffix(f".{os.getpid()}.json")

    def told() -> None:
        answer.write_text(json.dumps(work()), encoding="utf-8")

    answer.unlink(missing_ok=True)
    if Child(told, out, environment, folder).wait(patience) or not answer.is_file():
        raise RuntimeError(f"A question about {folder} has no answer: {out.read_text(encoding='utf-8')[-2000:]}")
    found = json.loads(answer.read_text(encoding="utf-8"))
    answer.unlink()
    return found


def loaded() -> list[str]:
    """The names of all modules of this process: what a warm one imports beforehand."""
    return sorted(sys.modules)


def warm(names: Iterable[str]) -> None:
    """Import what a trial imports."""
    for name in names:
        if not name.startswith(("__", "_distutils")):
            with suppress(ImportError, AttributeError):
                import_module(name)


def until(condition: Callable[[], bool], patience: float, every: float = POLL) -> bool:
    """Whether something happened in time."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


def session(leader: int) -> list[int]:
    """The living processes of a session: what a dead one has left behind."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _session_of(pid) == leader]


def named(pid: int) -> str:
    """A process by its number and command line."""
    with suppress(OSError):
        return f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()[:SHOWN]}"
    return f"{pid}, gone by now"


def end(leader: int) -> None:
    """Kill all of a session."""
    for pid in session(leader):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Watch:
    """Ends a session of other programs when asked to, or when this process is gone: they would go on without it."""

    def __init__(self, leader: int):
        listening, self.line = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.close(self.line)
            os.read(listening, 1)  # until nobody holds the other end any more
            end(leader)
            os._exit(0)
        os.close(listening)

    def end(self) -> None:
        """Now; again is harmless."""
        if self.pid:
            os.write(self.line, b".")  # processes forked since hold this end too
            os.close(self.line)
            os.waitpid(self.pid, 0)
            self.pid = 0


def _session_of(pid: int) -> int:
    """0 for one that has ended."""
    try:
        state, _, _, own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state == "Z" else int(own)
