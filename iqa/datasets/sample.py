"""The built-in sets: dead-leaves charts and photograph crops, degraded and scored on first use, kept in the cache.

Scores are synthetic: HaarPSI (Reisenhofer et al. 2018) against the pristine picture plus a little seeded noise.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iqa import degradations, disk, images, machine
from iqa.datasets import charts, photographs, splits
from iqa.datasets.manifest import COLUMNS, PARTS, DataError, Manifest, table_of
from iqa.disk import file_digest
from iqa.randomness import generator, sub_seed

VERSION = 2  # of what `_key` does not see: crops, scores, the manifest's columns
SIZE = 256  # pixels a side
WEIGHTS = (1.0, 1.0, 2.0, 3.0, 4.0)  # of the levels, mildest first: equal ones leave half of the scores above 0.9
LEVELS = len(WEIGHTS)
DRAWS = 5  # degraded versions of each content, beside its reference
NOISE = 0.02  # standard deviation added to HaarPSI, as raters' disagreement would be
SCORES_ARE = "synthetic (HaarPSI + noise)"
PROTOCOL = "by-source"
IDENTITIES = {("gaussian_blur", 0), ("motion_blur", 0)}  # these leave the pixels as they are: a second reference


@dataclass(frozen=True)
class Recipe:
    """What a built-in set is made of: sources for each of PARTS, and the families drawn from."""

    photographs: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    charts: tuple[int, int, int]
    families: tuple[str, ...]


RECIPES = {
    "sample": Recipe(
        photographs=(("astronaut", "china", "coffee", "motorcycle"), ("chelsea",), ("rocket",)),
        charts=(18, 6, 12),
        families=("gaussian_blur", "jpeg", "white_noise", "brighten", "darken"),
    ),
    "sample_optics": Recipe(
        photographs=((), (), ("flower", "ihc")),
        charts=(0, 0, 12),
        families=("lens_blur", "motion_blur", "pixelate", "jpeg2000"),
    ),
    "sample_sensor": Recipe(
        photographs=((), (), ("hubble", "retina")),
        charts=(0, 0, 12),
        families=("impulse_noise", "multiplicative_noise", "contrast_down", "contrast_nonlinear"),
    ),
}


@dataclass(frozen=True)
class Content:
    """One pristine picture (3, SIZE, SIZE) uint8 and where it belongs."""

    name: str
    group: str
    part: str
    pixels: Tensor


def load(name: str, protocol: str = "") -> Manifest:
    """A built-in set, made into the cache the first time (seconds), checked byte by byte every time."""
    if protocol not in ("", PROTOCOL):
        raise DataError(f"the built-in {name} has no protocol {protocol!r}: its parts are fixed, {PROTOCOL}")
    folder = disk.cache_folder() / f"{name}-{_key(name)}"
    if not folder.is_dir():
        _make(name, folder)
    table = _read_table(folder)
    with ThreadPoolExecutor(machine.cores()) as pool:
        found = list(pool.map(lambda path: _digest_or_none(folder / path), table["path"]))
    damaged = [path for path, was, now in zip(table["path"], table["digest"], found, strict=True) if was != now]
    if damaged:
        raise DataError(f"{len(damaged)} files of {folder} are damaged, as {damaged[0]}: delete that folder, run again")
    recipe = RECIPES[name]
    notes = (
        f"{name}: scores are {SCORES_ARE}, not opinions",
        photographs.licences(tuple(photo for part in recipe.photographs for photo in part)),
        f"split by source photograph or chart: {splits.counted(list(table['split']))} train/validation/test",
    )
    return Manifest(name, folder, table, (0.0, 1.0), SCORES_ARE, PROTOCOL, notes)


def haarpsi(pictures: Tensor, reference: Tensor) -> list[float]:
    """HaarPSI of (N, 3, H, W) uint8 pictures against one (3, H, W) uint8 reference, in [0, 1], 1 for equal ones.

    With two pictures or more the number of threads does not show: torch then sums each picture in one thread
    (measured with 1 to 4; a single picture's sum is split, and differs in the sixth digit).
    """
    import piq

    ours = images.unit(pictures)
    theirs = images.unit(reference).expand_as(ours)
    return [min(float(score), 1.0) for score in piq.haarpsi(ours, theirs, data_range=1.0, reduction="none")]


def draws(name: str, content: str) -> list[tuple[str, int]]:
    """DRAWS different (family, level) pairs of one content, severe levels more often than mild ones."""
    pairs = [(family, level) for family in RECIPES[name].families for level in range(LEVELS)]
    weights = torch.tensor([0.0 if pair in IDENTITIES else WEIGHTS[pair[1]] for pair in pairs])
    rng = generator("built-in", name, content, "draws")
    return [pairs[i] for i in torch.multinomial(weights, DRAWS, generator=rng)]


def _key(name: str) -> str:
    """Version, recipe, and what charts and degradations make of a small probe: if any changes, so does the folder."""
    recipe = RECIPES[name]
    said = repr((name, recipe, SIZE, DRAWS, WEIGHTS, NOISE, photographs.CROPS))
    digest = hashlib.sha256(said.encode())
    probe = images.unit(charts.chart(96, "probe"))[None]
    for family in recipe.families:
        made = degradations.degrade(probe, family, LEVELS, [generator("built-in", "probe", family)])
        digest.update((made * 255).round().to(torch.uint8).numpy().tobytes())
    return f"v{VERSION}-{digest.hexdigest()[:12]}"


def _make(name: str, folder: Path) -> None:
    """Write pictures and manifest.csv into a temporary folder, then rename it; a second process waits."""
    import filelock

    with filelock.FileLock(folder.parent / f".{name}.lock"):
        if folder.is_dir():
            return
        for left in folder.parent.glob(f".making-{name}-*"):  # by a process that died: the lock is ours
            shutil.rmtree(left)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".making-{name}-"))
        try:
            with ThreadPoolExecutor(machine.cores()) as pool:
                made = pool.map(lambda content: _degraded(name, content, temporary), _contents(name))
                rows = [row for some in made for row in some]
            rows.sort(key=lambda row: row["path"])
            assert len({row["digest"] for row in rows}) == len(rows), "a draw has left its reference as it was"
            table = table_of({column: [row[column] for row in rows] for column in COLUMNS if column in rows[0]})
            table.to_csv(temporary / "manifest.csv", index=False)
            temporary.chmod(0o755)  # mkdtemp makes it private
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)  # where it got its name there is nothing any more


def _contents(name: str) -> Iterator[Content]:
    """The pristine pictures, photographs first."""
    recipe = RECIPES[name]
    for part, photos, count in zip(PARTS, recipe.photographs, recipe.charts, strict=True):
        for photo in photos:
            for index, pixels in enumerate(photographs.crops(photo, SIZE)):
                yield Content(f"{photo}-{index}", photo, part, pixels)
        for index in range(count):
            chart = f"chart-{part}-{index:02d}"
            yield Content(chart, chart, part, charts.chart(SIZE, name, chart))


def _degraded(name: str, content: Content, folder: Path) -> list[dict[str, Any]]:
    """Write a content's reference and draws; one row of the manifest for each."""
    pairs = draws(name, content.name)
    reference = images.unit(content.pixels)[None]
    pictures = [content.pixels, *(_applied(reference, family, level, name, content.name) for family, level in pairs)]
    scores = haarpsi(torch.stack(pictures), content.pixels)
    rows = []
    for (family, level), pixels, score in zip([("reference", -1), *pairs], pictures, scores, strict=True):
        path = f"{content.name}.png" if family == "reference" else f"{content.name}_{family}_{level}.png"
        images.save_png(pixels, folder / path)
        noise = NOISE * torch.randn((), generator=generator("built-in", name, path, "score"), dtype=torch.float64)
        noisy = round(min(max(score + float(noise), 0.0), 1.0), 6)
        rows.append(
            {
                **{"path": path, "score": noisy, "opinion": noisy, "split": content.part, "group": content.group},
                **{"family": family, "level": level, "digest": file_digest(folder / path)},
                **{"width": SIZE, "height": SIZE},
            }
        )
    return rows


def _applied(reference: Tensor, family: str, level: int, *purpose: object) -> Tensor:
    """(1, 3, H, W) in [0, 1] → (3, H, W) uint8 at one level of a family."""
    severity = degradations.severities(family, LEVELS)[level]
    rng = torch.Generator().manual_seed(sub_seed("built-in", *purpose, family, level))
    degraded = degradations.degrade(reference, family, (severity,), [rng])
    return (degraded[0, 0].clamp(0, 1) * 255).round().to(torch.uint8)


def _read_table(folder: Path):
    import pandas as pd

    raw = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    return table_of({column: list(raw[column]) for column in raw.columns})


def _digest_or_none(path: Path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return None
