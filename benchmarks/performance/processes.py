"""`iqa pretrain --devices=2` against one process, one thread each (gloo)."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.performance.pipeline import prepared
from benchmarks.performance.pretraining import LITE
from benchmarks.performance.rows import Row
from benchmarks.study_machinery import place
from iqa import tracking

IMAGES, EPOCHS = 48, 3
FIELDS: dict[str, Any] = LITE | {"epochs": EPOCHS, "degrade.heldout": 2, "compute.threads": 1, "device": "cpu"}


def measured(full: bool) -> Iterator[Row]:
    """Images a second from the second epoch on, the same global batch of 8."""
    with prepared(IMAGES) as manifest:
        pace = {count: images_per_second(str(manifest.root), count) for count in (1, 2)}
    about = f"{pace[2]:.2f} against {pace[1]:.2f} images/s, global batch of 8 × 2 × 5 crops of 224"
    yield Row("two processes, one thread each, over one", pace[2] / pace[1], "≥ 1.6", about)


def images_per_second(data: str, count: int) -> float:
    """By the command's own run."""
    words = [f"--{name}={value}" for name, value in (FIELDS | {"data": data, "devices": count}).items()]
    with place() as environment:
        offline = environment | {"IQA_OFFLINE": "true", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "iqa", "pretrain", "--preset=paper", *words]
        subprocess.run(command, env=offline, cwd=Path(offline["HERE"]), check=True, stdout=subprocess.DEVNULL)
        os.environ |= {name: offline[name] for name in ("IQA_OFFLINE", "IQA_RUNS")}
        (row,) = tracking.rows(tags={"stage": "pretrain"})
        paces = [value for _, value in tracking.history(row.run_id, "cost/images_per_s")]
    assert len(paces) == EPOCHS, paces
    return statistics.median(paces[1:])
