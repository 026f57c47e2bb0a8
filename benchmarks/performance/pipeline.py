"""The input pipeline alone, and how long a fast accelerator would wait for it."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from benchmarks.data_cache import generated
from benchmarks.performance import singly
from benchmarks.performance.rows import Row
from benchmarks.timing import turns
from iqa import batches, datasets, degradations, images, machine
from iqa.datasets import pixels
from iqa.stages.training import Timed

PICTURES, BATCH, CROP, LEVELS, TURNS = 64, 8, 224, 5, 32
FAMILIES = ("gaussian_blur", "jpeg", "white_noise", "brighten")
STEP, STEPS = 0.055, 60  # seconds: what an H100 would need for Swin-Base and 80 crops (assumption); how many


def measured(full: bool) -> Iterator[Row]:
    """Crops a second per core, and the share of time that an accelerator waits on all cores."""
    with prepared(PICTURES) as manifest:
        machine.keep_memory()
        with one_core():
            yield alone(manifest)
        machine.threads()
        yield waiting(manifest)


@contextmanager
def prepared(count: int, cached: bool = True) -> Iterator[datasets.Manifest]:
    """A set of so many pictures, its pixels in the cache as `data prepare --cache=yes` leaves them, or not."""
    with tempfile.TemporaryDirectory(prefix="iqa-performance-") as folder:
        os.environ["IQA_CACHE"] = str(Path(folder, "cache"))
        manifest = generated(Path(folder, "set"), count)
        if cached:
            files = {digest: manifest.file(i) for i, digest in enumerate(manifest.table["digest"])}
            pixels.fill(manifest.name, files, images.NATIVE, manifest.resample)
        yield manifest


@contextmanager
def one_core() -> Iterator[None]:
    """This process has one core, where the system can say so."""
    torch.set_num_threads(1)
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if before:
        os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        if before:
            os.sched_setaffinity(0, before)


def alone(manifest: datasets.Manifest) -> Row:
    """Cached pictures → degraded views, in turns: batched, and one image at a time with Pillow and NumPy."""
    settings = {"batch": BATCH, "seed": 0, "start": 0, "families": FAMILIES, "crop": CROP, "overlap": 0.5}
    drawn = batches.pretraining(manifest, **settings)
    arrays = [np.ascontiguousarray(manifest.read(n).permute(1, 2, 0).numpy()) for n in range(len(manifest))]
    random = np.random.default_rng(0)

    def ours() -> torch.Tensor:
        return batches.degraded(next(drawn), LEVELS, CROP, torch.device("cpu"))

    seconds = turns({"ours": ours, "singly": lambda: singly_views(arrays, random)}, TURNS, time.process_time)
    pace = {name: BATCH * 2 * LEVELS * TURNS / sum(found) for name, found in seconds.items()}  # families by chance
    about = f"{pace['ours']:.0f} crops/s per core, Pillow and NumPy {pace['singly']:.0f}; {', '.join(FAMILIES)}"
    return Row("input pipeline, crops/s against one at a time", pace["ours"] / pace["singly"], "≥ 3", about)


def singly_views(arrays: list[np.ndarray], random: np.random.Generator) -> torch.Tensor:
    """A batch of views as a user's data set class makes it: a crop is cut, each level made from it by itself."""
    views = []
    for n in range(BATCH):
        array, family = arrays[random.integers(len(arrays))], FAMILIES[n % len(FAMILIES)]
        for _ in range(2):
            top, left = (int(random.integers(size - CROP + 1)) for size in array.shape[:2])
            crop = np.ascontiguousarray(array[top : top + CROP, left : left + CROP])
            for severity in degradations.severities(family, LEVELS):
                views.append(singly.tensor_of(HABITS[family](crop, severity, random)))
    return torch.stack(views)


def _blurred(crop: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    return np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(sigma)))


def _noisy(crop: np.ndarray, variance: float, random: np.random.Generator) -> np.ndarray:
    return (crop / 255 + random.normal(0, variance**0.5, crop.shape)).clip(0, 1)


HABITS = {"gaussian_blur": _blurred, "jpeg": singly.jpeg, "white_noise": _noisy, "brighten": singly.brighten}


def waiting(manifest: datasets.Manifest) -> Row:
    """The share of time for which steps that only sleep wait for crops; degrading is the accelerator's."""
    settings = {"batch": BATCH, "seed": 0, "start": 0, "families": FAMILIES, "crop": CROP, "overlap": 0.5}
    with closing(batches.ahead(batches.pretraining(manifest, **settings))) as crops:
        clock = Timed(crops)
        began = time.monotonic()
        for _ in islice(clock, STEPS):
            time.sleep(STEP)
        share = clock.seconds / (time.monotonic() - began)
    about = f"{STEPS} steps of {1000 * STEP:.0f} ms, {BATCH} cached pictures each"
    return Row("a simulated accelerator waits for data", 100 * share, "≤ 5 %", about)
