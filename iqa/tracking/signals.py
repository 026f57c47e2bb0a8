"""Being asked to stop, by a signal or by the clock: it sets a flag, and a stage leaves at its next step, all saved."""

import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import wait
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE = 4.0  # seconds until whatever asks nobody whether it should stop is broken off; a cluster waits ten or more
ORPHANED = 2.0  # the same where the parent is gone: nobody waits, and 5 s later nothing is left

_asked = 0
_began = time.monotonic()
_until = math.inf
_follows = _orphaned = False


class Stopped(Exception):
    """Raised by a stage that was asked to stop, after it saved; `signal` is the number, `exit_code` 128 more.

    said: what another process said that stopped for the same reason; saved: whether nothing has to be done twice.
    """

    def __init__(self, number: int, said: str = "", saved: bool = True):
        by = "max_hours" if time.monotonic() >= _until else signal.Signals(number).name
        kept = "everything saved" if saved else "what came after the last checkpoint is done again"
        super().__init__(said or f"Stopped by {by}, {kept}: the same command goes on.")
        self.signal = number
        self.exit_code = 128 + number


def handle_signals() -> None:
    """SIGTERM, SIGINT and SIGUSR1 ask to stop; a second SIGINT is a KeyboardInterrupt.

    Under `mlflow run` on Linux, its death asks too: MLflow leaves its child running otherwise. So does the death of the
    launcher that started this process as one of several.
    """
    for number in SIGNALS:
        signal.signal(number, _ask)
    signal.signal(signal.SIGALRM, _insist)
    if sys.platform == "linux" and {"MLFLOW_RUN_ID", "TORCHELASTIC_RUN_ID"} & os.environ.keys():
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def leave_with_parent() -> None:
    """In a process that another one started: ask to stop when that one is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        global _orphaned
        wait([parent.sentinel])
        _orphaned = True
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def follow() -> None:
    """This process trains with others from now on, of which the first decides when all of them stop."""
    global _follows
    _follows = True


def stop_after(hours: float) -> None:
    """Ask to stop, as SIGUSR1 would, so many hours after this process began; 0 = never."""
    global _until
    _until = _began + 3600 * hours if hours else math.inf


def stop_requested() -> int:
    """The number of the signal that asked to stop, 0 if none did. Who is told so stops, and is not broken off."""
    global _asked
    if not _asked and time.monotonic() >= _until:
        _asked = signal.SIGUSR1
    if _asked:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return _asked


def stop_if_asked() -> None:
    """Raise Stopped if somebody asked to stop: for work of which nothing needs saving."""
    number = stop_requested()
    if number and not _follows:
        raise Stopped(number)


def _ask(number: int, frame: FrameType | None) -> None:
    global _asked
    if number == signal.SIGINT and _asked == signal.SIGINT:
        raise KeyboardInterrupt
    if not _asked and not _follows:
        signal.setitimer(signal.ITIMER_REAL, ORPHANED if _orphaned else GRACE)
    _asked = number


def _insist(number: int, frame: FrameType | None) -> None:
    """Nobody looked in time: a data set is being read, or a step takes long. The last checkpoint is what counts."""
    if _asked:
        raise Stopped(_asked, saved=False)
