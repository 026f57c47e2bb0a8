"""Fine-tuning's speed and memory beside the bare loop's, from prepared data and from files."""

from collections.abc import Iterator
from typing import Any

from benchmarks.performance.beside import compared
from benchmarks.performance.pipeline import prepared
from benchmarks.performance.pretraining import LITE
from benchmarks.performance.rows import Row

IMAGES, BATCH, TURNS = 320, 32, 5
FIELDS: dict[str, Any] = LITE | {"batch_size": BATCH, "epochs": 9, "crops.validation": 1, "optim.patience": 0}


def measured(full: bool) -> Iterator[Row]:
    """Multi-scale features and attention, crops of 224."""
    setting = None
    for cached in (True, False):
        with prepared(IMAGES, cached) as manifest:
            told = {"stage": "finetune", "fields": FIELDS | {"data": str(manifest.root)}, "batch": BATCH}
            found = compared(told, TURNS, setting)
            setting = found.setting
            origin = "prepared data" if cached else "JPEG files of 1024 × 768"
            yield found.speed(f"fine-tuning over the bare loop, batch {BATCH}, {origin}", "≥ 0.95")
            if cached:
                yield found.memory("fine-tuning")
