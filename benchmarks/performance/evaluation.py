"""Evaluation with 25 crops an image beside bare forward passes."""

from collections.abc import Iterator

from benchmarks.performance.beside import compared
from benchmarks.performance.pipeline import prepared
from benchmarks.performance.pretraining import LITE
from benchmarks.performance.rows import Row

IMAGES, TURNS = 32, 3
BATCH = 96  # crops, of which the bare loop may compute parts


def measured(full: bool) -> Iterator[Row]:
    """From files, each of which is decoded once for its 25 crops."""
    with prepared(IMAGES, cached=False) as manifest:
        told = {"stage": "evaluate", "fields": LITE | {"data": str(manifest.root)}, "batch": BATCH}
        yield compared(told, TURNS).speed("evaluation over bare forward passes, 25 crops an image", "≥ 0.95")
