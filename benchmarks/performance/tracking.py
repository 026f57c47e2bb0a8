"""Journal and checkpoints as a share of a training step: `benchmarks.tracking_cost`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import tracking_cost
from benchmarks.performance.rows import Row
from iqa import machine

BATCH, CROP, STEPS = 8, 224, 6


def measured(full: bool) -> Iterator[Row]:
    """One share."""
    machine.threads(1)
    with tempfile.TemporaryDirectory(prefix="iqa-performance-") as place:
        share = tracking_cost.share(BATCH, CROP, STEPS, Path(place))
    about = f"a step of {BATCH} crops of {CROP} on one thread with a journal line of 20 values, epochs of KonIQ-10k"
    yield Row("tracking, journal and checkpoints, of a step", 100 * share, "≤ 1 %", about)
