"""The cache of pixels: how fast it is written, what reading from it costs a training step, and what it keeps in memory.

    python -m benchmarks.data_cache                 # 400 pictures of 1024 × 768, about two minutes on two cores
    python -m benchmarks.data_cache --images 2000   # more
    python -m benchmarks.data_cache --full          # 10,000: 24 GB in the temporary folder (TMPDIR), an hour

Writes benchmarks/results/data_cache.csv. Asked: writing at the speed of decoding on all cores, reading below 3% of the
bare model's step (bundled encoder, 8 pictures × 10 crops of 224), resident memory that does not grow with the set.
"""

import argparse
import csv
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import median_of, timed
from iqa import batches, datasets, images, machine
from iqa.datasets import pixels

HEIGHT, WIDTH, CROP, BATCH, VIEWS = 768, 1024, 224, 8, 10
STEPS = 5  # of the bare model, of which the median counts
RESULTS = Path(__file__).parent / "results" / "data_cache.csv"
Row = tuple[str, float, str]  # what, value, unit


def main() -> None:
    """Make the set, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--full", action="store_true", help="10,000 pictures")
    told = parser.parse_args()
    count = 10_000 if told.full else told.images
    machine.threads()
    rows: list[Row] = [("pictures", count, ""), ("cores", machine.cores(), "")]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IQA_CACHE"] = str(Path(folder, "cache"))
        manifest = generated(Path(folder, "set"), count)
        for row in measured(manifest):
            rows.append(row)
            print(f"{row[0]}: {row[1]:.4g} {row[2]}".rstrip(), flush=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([("what", "value", "unit"), *rows])


def measured(manifest: datasets.Manifest) -> Iterator[Row]:
    """Everything that is asked, in order."""
    files = {digest: manifest.file(i) for i, digest in enumerate(manifest.table["digest"])}
    began = os.times()
    decode(list(files.values()))
    between = os.times()
    filled = pixels.fill(manifest.name, files, images.NATIVE, manifest.resample)
    ended = os.times()
    decoding, writing = between.elapsed - began.elapsed, ended.elapsed - between.elapsed
    yield "decoding on all cores", len(files) / decoding, "pictures/s"
    yield "writing the cache", len(files) / writing, "pictures/s"
    yield "time of writing / time of decoding", writing / decoding, ""
    yield "the system's time in decoding", between.system - began.system, "s"
    yield "the system's time in writing", ended.system - between.system, "s"
    yield "size of the cache", filled.size / machine.MIB, "MiB"
    forget(filled.file)
    steps = len(files) // BATCH
    quarter = resident_after(manifest, steps // 4)
    forget(filled.file)
    cold = timed(lambda: read(replace(manifest), steps)) / steps  # a copy has looked through no picture yet
    first = timed(lambda: read(replace(manifest), steps)) / steps
    whole = resident_after(manifest, steps)
    warm = timed(lambda: read(manifest, steps)) / steps
    step = bare_step()
    yield "the bare model's step", 1000 * step, "ms"
    yield "reading a batch for the first time, not in the system's cache", 1000 * cold, "ms"
    yield "reading a batch for the first time", 1000 * first, "ms"
    yield "reading a batch", 1000 * warm, "ms"
    yield "first reading / step, not in the system's cache", 100 * cold / step, "%"
    yield "first reading / step", 100 * first / step, "%"
    yield "reading / step", 100 * warm / step, "%"
    yield "resident after a quarter of the set", quarter, "MiB"
    yield "resident after the whole set", whole, "MiB"
    yield "growth of resident memory / size of the cache", 100 * (whole - quarter) * machine.MIB / filled.size, "%"


def generated(folder: Path, count: int) -> datasets.Manifest:
    """`count` JPEGs of smooth colours with some noise, as a manifest."""
    from torchvision.io import write_jpeg

    folder.mkdir()

    def make(index: int) -> None:
        write_jpeg(smooth(index, HEIGHT, WIDTH), str(folder / f"{index:05d}.jpg"), quality=90)

    with ThreadPoolExecutor(machine.cores()) as pool:
        list(pool.map(make, range(count)))
    (folder / "scores.csv").write_text("image,mos\n" + "".join(f"{i:05d}.jpg,{i % 100}\n" for i in range(count)))
    return datasets.load(str(folder))


def smooth(index: int, height: int, width: int) -> torch.Tensor:
    """The picture of this number, (3, H, W) uint8: smooth colours with some noise."""
    random = np.random.default_rng(index)
    field = torch.from_numpy(random.random((1, 3, 12, 16), np.float32))
    colours = torch.nn.functional.interpolate(field, (height, width), mode="bilinear")[0]
    noisy = colours + 0.03 * torch.from_numpy(random.standard_normal(colours.shape, np.float32))
    return (255 * noisy.clamp(0, 1)).to(torch.uint8)


def decode(files: list[Path]) -> None:
    """Every file once, on all cores, nothing kept."""
    with ThreadPoolExecutor(machine.cores()) as pool:
        for _ in pool.map(lambda file: images.read(file).shape, files):
            pass


def read(manifest: datasets.Manifest, steps: int) -> None:
    """Batches of crop pairs, as pretraining draws them, before anything is degraded."""
    settings = {"batch": BATCH, "seed": 0, "start": 0, "families": ("blur", "noise"), "crop": CROP, "overlap": 0.5}
    for pairs in islice(batches.pretraining(manifest, **settings), steps):
        torch.stack([region for pair in pairs for region in pair.regions])


def resident_after(manifest: datasets.Manifest, steps: int) -> float:
    """MiB that are resident once so many batches were read."""
    read(manifest, steps)
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def bare_step() -> float:
    """Seconds of one step of the bundled encoder: forward, backward, AdamW."""
    from iqa import encoders

    model = encoders.build("", "bundled", image_size=CROP).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)
    views = torch.rand(BATCH * VIEWS, 3, CROP, CROP).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        sum(stage.square().mean() for stage in model(views)).backward()
        optimizer.step()

    step()
    return median_of(STEPS, step)


def forget(file: Path) -> None:
    """Ask the system to drop what it holds of a file, so that the next reading is from the disk."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
