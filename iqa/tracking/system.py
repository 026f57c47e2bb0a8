"""How busy the machine is while a run works, under the names that MLflow's page of system metrics shows.

MLflow's monitors measure; its own thread is not used, since it asks the store before each sample and writes past the
journal.
"""

import logging
import math
import os
import threading
import time
from contextlib import suppress
from typing import Any

from iqa.tracking.journal import SYSTEM, Journal, JournalError

EVERY = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"  # seconds between samples
ENABLED = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


def interval() -> float:
    """Seconds between two samples, 0 for none. Raises ValueError where MLflow's variables say something else."""
    enabled, told = os.environ.get(ENABLED, "true").lower(), os.environ.get(EVERY, "10")
    if enabled not in ("true", "1", "false", "0"):
        raise ValueError(f"{ENABLED} is true or false, not '{enabled}'.")
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{EVERY} is a number of seconds above 0, not '{told}'.")
    return seconds if enabled in ("true", "1") else 0.0


class Watch:
    """Samples processor, memory, disk, network and GPUs into a run's journal, from a thread of its own.

    every: seconds between samples, 0 = none. A sample's step is the second of the run's work at which it was taken: a
    run that goes on continues its curve.
    """

    def __init__(self, journal: Journal, every: float):
        self.journal, self.every = journal, every
        self._began = time.monotonic() - journal.worked
        self._busy: list[float] = []  # of the GPUs, percent; a value a sample
        self._leave, self._writing = threading.Event(), threading.Lock()

    def start(self) -> None:
        if self.every:
            threading.Thread(target=self._work, name="system metrics", daemon=True).start()

    def finish(self) -> None:
        """No sample is written when this has returned; a probe that hangs is not waited for."""
        with self._writing:
            self._leave.set()

    def gpu_utilisation(self) -> dict[str, float]:
        """The mean of the machine's GPUs since this opening's start, percent; nothing where there are none."""
        busy = tuple(self._busy)
        return {"cost/gpu_utilisation": sum(busy) / len(busy)} if busy else {}

    def _work(self) -> None:
        import psutil

        psutil.cpu_percent()  # a thread's first answer is 0: use is counted from the call before
        if self._leave.wait(self.every):  # short runs load no monitors
            return
        probes = monitors()
        while not self._leave.is_set():
            values = sampled(probes)
            busy = [value for name, value in values.items() if name.startswith("gpu_") and "utilization" in name]
            self._busy += [sum(busy) / len(busy)] if busy else []
            try:
                self._write(values)
            except JournalError:  # a full disk: the run itself says so where it matters
                return
            self._leave.wait(self.every)

    def _write(self, values: dict[str, float]) -> None:
        """Unless the run's end is being written: nothing comes after that."""
        second = int(time.monotonic() - self._began)
        with self._writing:
            if not self._leave.is_set():
                self.journal.metrics({SYSTEM + name: value for name, value in values.items()}, second)


def monitors() -> list[Any]:
    """MLflow's own of everything that this computer has."""
    import pynvml
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)  # at each sample: what a GPU cannot tell
    found = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(RuntimeError, pynvml.NVMLError):  # no GPU of NVIDIA's
        found.append(GPUMonitor())
    return found


def sampled(probes: list[Any]) -> dict[str, float]:
    """One sample: values by MLflow's names."""
    values: dict[str, float] = {}
    for probe in probes:
        probe.collect_metrics()
        values |= probe.aggregate_metrics()
        probe.clear_metrics()
    return values
