"""Being asked to stop: a signal sets a flag, and the stage leaves at its next step with everything saved."""

import ctypes
import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
PR_SET_PDEATHSIG = 1  # linux/prctl.h

_asked = 0


class Stopped(Exception):
    """Raised by a stage that was asked to stop, after it saved; `signal` is the number, `exit_code` 128 more."""

    def __init__(self, number: int):
        super().__init__(f"Stopped by {signal.Signals(number).name}, everything saved: the same command goes on.")
        self.signal = number
        self.exit_code = 128 + number


def handle_signals() -> None:
    """SIGTERM, SIGINT and SIGUSR1 ask to stop; a second SIGINT is a KeyboardInterrupt.

    Under `mlflow run` on Linux, its death asks too: MLflow leaves its child running otherwise.
    """
    for number in SIGNALS:
        signal.signal(number, _ask)
    if sys.platform == "linux" and "MLFLOW_RUN_ID" in os.environ:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def stop_requested() -> int:
    """The number of the signal that asked to stop, 0 if none did."""
    return _asked


def _ask(number: int, frame: FrameType | None) -> None:
    global _asked
    if number == signal.SIGINT and _asked == signal.SIGINT:
        raise KeyboardInterrupt
    _asked = number
