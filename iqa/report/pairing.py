"""The verdict's statistics on anybody's predictions: two csv files (or lists of them, a seed each) → sentences."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from iqa import metrics, statistics
from iqa.report.evidence import ReportError
from iqa.report.predictions import Predictions

NAMES = {  # what csv files call their columns, in the order of preference
    "path": ("path", "image", "image_name", "img", "file", "filename", "name"),
    "score": ("score", "mos", "dmos", "opinion", "target", "label", "gt"),
    "prediction": ("prediction", "predicted", "pred", "predictions", "output", "quality"),
    "group": ("group", "unit", "reference", "ref_img", "prompt", "source"),
}
LARGEST = 1e100  # beyond, squares leave the floating point numbers
NEEDED = ("path", "score", "prediction")


def read(file: Path) -> Predictions:
    """A csv of images, given scores and predictions, its columns guessed by name; sorted by image."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    header = list(rows[0]) if rows else []
    known = {name.strip().lower(): name for name in header if name}
    column = {part: next((known[n] for n in names if n in known), "") for part, names in NAMES.items()}
    lacking = [part for part in NEEDED if not column[part]]
    if lacking:
        wanted = "; ".join(f"{part}: one of {', '.join(NAMES[part])}" for part in lacking)
        raise ReportError(f"{file} has the columns {', '.join(header) or 'none'}, and lacks {wanted}.")
    rows.sort(key=lambda row: row[column["path"]])
    paths = tuple(row[column["path"]] for row in rows)
    if len(set(paths)) != len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ReportError(f"{file} names {twice} more than once: one line an image.")
    try:
        values = np.array([[float(row[column[part]]) for part in ("score", "prediction")] for row in rows])
    except ValueError as error:
        raise ReportError(f"{file}: a score or prediction is no number ({error}).") from error
    if not (np.abs(values) <= LARGEST).all():
        raise ReportError(
            f"{file}: a score or prediction is not finite, or beyond {LARGEST:g}: leave that image out of both files."
        )
    units = np.array([row[column["group"]] for row in rows]) if column["group"] else np.array(paths)
    return Predictions(paths, units, values[:, 0], values[:, 1], str(file))


def compare(treatment: Sequence[Path], baseline: Sequence[Path], resamples: int = 10_000) -> Iterator[str]:
    """Sentences: each side's correlations, the difference with interval and mark, and what stands beside it.

    The n-th files of both sides are one seed pair. All files have to name the same images with the same scores.
    """
    if len(treatment) != len(baseline):
        raise ReportError(f"{len(treatment)} and {len(baseline)} files: give as many of each, the seeds in one order.")
    sides = [[read(file) for file in files] for files in (treatment, baseline)]
    first = sides[0][0]
    for one in (*sides[0], *sides[1]):
        _same_images(first, one)
    if len(first.paths) < 2:
        raise ReportError(f"{first.run} names {len(first.paths)} image: a correlation needs two at least.")
    yield f"{len(first.paths)} images, {len(set(first.units.tolist()))} units, {len(treatment)} seed pairs"
    for name, side in zip(("treatment", "baseline"), sides, strict=True):
        yield f"{name}: {_correlations(side)}"
    ours, theirs = (np.stack([one.values for one in side]) for side in sides)
    found = statistics.crossed(ours, theirs, first.scores, first.units)
    if math.isnan(found.delta):
        yield f"undefined: {found.why}"
        return
    yield (
        f"ΔSRCC {found.delta:+.4f}"
        + (
            f", 95% interval [{found.low:+.4f}, {found.high:+.4f}], p {found.p:.3g}, {found.df:.1f} degrees of freedom"
            if math.isfinite(found.low)
            else ""
        )
        + (f". {found.why}" if found.why else "")
    )
    part = statistics.Part(found)
    mark = statistics.mark(part, statistics.claim_p([part]))
    yield f"mark: {mark} (as the only claim; fewer than three seed pairs are always ?)"
    yield from _beside(ours, theirs, first, resamples)


def _beside(ours: np.ndarray, theirs: np.ndarray, first: Predictions, resamples: int) -> Iterator[str]:
    """What never decides: the crossed bootstrap, Pitman and Morgan's test of each pair."""
    drawn = statistics.crossed_bootstrap(ours, theirs, first.scores, first.units, resamples=resamples)
    yield f"beside it, crossed bootstrap ({resamples:,}): [{drawn.low:+.4f}, {drawn.high:+.4f}]"
    tests = statistics.pitman_morgan(ours, theirs, first.scores)
    shown = ", ".join(f"{'smaller' if one.slope > 0 else 'larger'} errors, p {one.p:.3g}" for one in tests)
    yield f"beside it, Pitman and Morgan by pair (treatment): {shown}"


def _correlations(side: Sequence[Predictions]) -> str:
    values = [(metrics.srcc(one.values, one.scores), metrics.plcc(one.values, one.scores)) for one in side]
    srcc, plcc = np.mean(values, axis=0)
    return f"SRCC {srcc:.4f}, PLCC {plcc:.4f}" + (", means over seeds" if len(side) > 1 else "")


def _same_images(first: Predictions, other: Predictions) -> None:
    if first.paths != other.paths:
        odd = sorted(set(first.paths) ^ set(other.paths))
        raise ReportError(
            f"{first.run} and {other.run} differ in {len(odd)} images ({', '.join(odd[:3])}): "
            "give predictions of the same images."
        )
    if not np.allclose(first.scores, other.scores):
        raise ReportError(f"{first.run} and {other.run} give the same images different scores: use one list of scores.")
