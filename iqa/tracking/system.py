"""How busy the machine is while a run works, under the names that MLflow's page of system metrics shows.

MLflow's monitors measure; its own thread is not used, since it asks the store before each sample and writes past the
journal.
"""

import os
import threading
import time
from contextlib import suppress
from typing import Any

from iqa.tracking.journal import SYSTEM, Journal, JournalError

EVERY = 10.0  # seconds between samples, unless $MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL says otherwise


class Watch:
    """Samples processor, memory, disk, network and GPUs into a run's journal, from a thread of its own.

    A sample's step is the second of the run's work at which it was taken: a run that goes on continues its curve.
    $MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false keeps it from beginning.
    """

    def __init__(self, journal: Journal):
        self.journal = journal
        self._began = time.monotonic() - journal.worked
        self._busy: list[float] = []  # of the GPUs, percent; a value a sample
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._work, name="system metrics", daemon=True)

    def start(self) -> None:
        if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true").lower() not in ("false", "0"):
            self._thread.start()

    def finish(self) -> None:
        """No sample is written when this has returned."""
        self._leave.set()
        if self._thread.ident:
            self._thread.join()

    def gpu_utilisation(self) -> dict[str, float]:
        """The GPUs' mean since the start, percent; nothing where there are none."""
        return {"cost/gpu_utilisation": sum(self._busy) / len(self._busy)} if self._busy else {}

    def _work(self) -> None:
        pause = float(os.environ.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL") or EVERY)
        if self._leave.wait(pause):  # short runs load nothing for this
            return
        probes = monitors()
        while not self._leave.is_set():
            values = sampled(probes)
            busy = [value for name, value in values.items() if name.startswith("gpu_") and "utilization" in name]
            self._busy += [sum(busy) / len(busy)] if busy else []
            second = int(time.monotonic() - self._began)
            try:
                self.journal.metrics({SYSTEM + name: value for name, value in values.items()}, second)
            except JournalError:  # a full disk: the run itself says so where it matters
                return
            self._leave.wait(pause)


def monitors() -> list[Any]:
    """MLflow's own of everything that this computer has."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    found = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(ImportError, RuntimeError):  # no GPU of NVIDIA's
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
