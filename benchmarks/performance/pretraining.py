"""Pretraining's speed and memory beside the bare loop's."""

from collections.abc import Iterator
from typing import Any

from benchmarks.performance import product
from benchmarks.performance.beside import compared
from benchmarks.performance.conversation import Speaker
from benchmarks.performance.pipeline import prepared
from benchmarks.performance.rows import Row
from iqa.degradations import FAMILIES

IMAGES, FEW, TURNS = 80, 20, 2  # of which 60% are the training part
LITE: dict[str, Any] = {"encoder": "", "weights": "bundled"}
SWIN: dict[str, Any] = {"encoder": "swin_tiny", "weights": "random"}
GROWTH = "≤ 10 %"
SHORT = {"degrade.crop": "64", "degrade.levels": "2", "degrade.heldout": "1", "epochs": "1"}
SMALL, MANY = 64, 512  # pictures of the two sets whose peaks are compared


def measured(full: bool) -> Iterator[Row]:
    """Four families, all of them, Swin-T; then memory."""
    with prepared(IMAGES) as manifest:
        common = {"data": str(manifest.root), "epochs": "9", "degrade.heldout": "1"}
        lite = compared({"stage": "pretrain", "fields": common | LITE, "batch": 8}, TURNS)
        yield lite.speed("pretraining over the bare loop, B 8, four families", "≥ 0.95")
        every = {"families": ",".join(FAMILIES)}
        found = compared({"stage": "pretrain", "fields": common | LITE | every, "batch": 8}, TURNS, lite.setting)
        yield found.speed("pretraining over the bare loop, B 8, all families", "≥ 0.90")
        yield lite.memory("pretraining")
    batch = 8 if full else 2
    with prepared(batch * FEW // 4) as manifest:
        fields = common | {"data": str(manifest.root), "batch_size": str(batch)} | SWIN
        found = compared({"stage": "pretrain", "fields": fields, "batch": batch}, TURNS)
        yield found.speed(f"pretraining over the bare loop, Swin-T at B {batch}, four families", "≥ 0.95")
    yield growth()


def growth() -> Row:
    """How much of what a larger set has more in pixels stays in memory: peaks after an epoch of each."""
    peaks = {}
    for count in (SMALL, MANY):
        with prepared(count, cached=False) as manifest:
            size = sum(manifest.table["width"] * manifest.table["height"] * 3) / 2**20
            fields = LITE | SHORT | {"data": str(manifest.root)}
            told = {"stage": "pretrain", "fields": fields, "folder": str(manifest.root.parent)}
            with Speaker(product.NAME, told) as stage:
                peaks[size] = stage.say()["peak"]
    (small, low), (large, high) = peaks.items()
    share = 100 * (high - low) / (large - small)
    about = f"{low:.0f} MB with {SMALL} pictures, {high:.0f} MB with {MANY}, which have {large - small:.0f} MB more"
    return Row("peak memory, share of a larger set's pixels that stay", share, GROWTH, about)
