"""The verdict's statistics on anybody's predictions: two csv files (or lists of them, a seed each) → sentences."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from iqa import metrics, statistics
from iqa.datasets import sheet
from iqa.datasets.manifest import listed
from iqa.report.evidence import ReportError
from iqa.report.predictions import Predictions

NAMES = {  # what csv files call their columns, in the order of preference
    "path": ("path", "image", "image_name", "img", "file", "filename", "name"),
    "score": ("score", "mos", "opinion", "target", "label", "gt"),  # no dmos, which may mean that lower is better
    "prediction": ("prediction", "predicted", "pred", "predictions", "output", "quality"),
    "group": ("group", "unit", "reference", "ref_img", "prompt", "source"),
}
NEEDED = ("path", "score", "prediction")
Row = tuple[str, str, float, float]  # path, unit, score, prediction


def read(file: Path) -> Predictions:
    """A csv of images, given scores and predictions, its columns guessed by name; sorted by image."""
    header, lines = sheet.cells(file, [])
    known = {name.lower(): at for at, name in enumerate(header)}
    column = {part: next((known[n] for n in names if n in known), None) for part, names in NAMES.items()}
    lacking = [part for part in NEEDED if column[part] is None]
    if lacking:
        wanted = "; ".join(f"{part}: one of {', '.join(NAMES[part])}" for part in lacking)
        hint = " A dmos may mean that lower is better: name it score if higher is." if "dmos" in known else ""
        raise ReportError(f"{file} has the columns {', '.join(header)}, and lacks {wanted}.{hint}")
    rows: list[Row] = []
    faults: list[str] = []
    for line, fields in lines:
        found, wrong = _row(fields, len(header), column)
        rows += [] if wrong else [found]
        faults += [f"line {line}: {fault}" for fault in wrong]
    times = Counter(row[0] for row in rows)
    faults += [f"{path!r} is named more than once: one line an image" for path, count in times.items() if count > 1]
    if faults:
        remedy = "mend these lines, or leave their images out of all files"
        raise ReportError(f"{file} cannot be compared ({remedy}):\n{listed(faults)}")
    paths, units, scores, values = zip(*sorted(rows), strict=True)
    return Predictions(paths, np.array(units), np.array(scores), np.array(values), str(file))


def _row(fields: list[str], width: int, column: dict[str, int | None]) -> tuple[Row, list[str]]:
    """A line's values, and what is wrong with them."""
    if len(fields) != width:
        return ("", "", math.nan, math.nan), [f"{len(fields)} fields where the header has {width}"]
    told = {part: "" if at is None else fields[at].strip() for part, at in column.items()}
    (score, of_score), (prediction, of_prediction) = sheet.number(told["score"]), sheet.number(told["prediction"])
    faults = ["" if told["path"] else "no image is named"]
    faults += [f"the {part} {fault}" for part, fault in (("score", of_score), ("prediction", of_prediction)) if fault]
    return (told["path"], told["group"] or told["path"], score, prediction), [fault for fault in faults if fault]


def compare(treatment: Sequence[Path], baseline: Sequence[Path], resamples: int = 10_000) -> Iterator[str]:
    """Sentences: each side's correlations, the difference with interval and mark, and what stands beside it.

    The n-th files of both sides are one seed pair. All files have to name the same images with the same scores.
    """
    if len(treatment) != len(baseline):
        raise ReportError(f"{len(treatment)} and {len(baseline)} files: give as many of each, the seeds in one order.")
    sides = [[read(file) for file in files] for files in (treatment, baseline)]
    everyone = [*sides[0], *sides[1]]
    first = _sampled(everyone)
    for one in everyone:
        _same_images(first, one)
    if len(first.paths) < 3:
        raise ReportError(f"{first.run} names {len(first.paths)} images: a correlation needs three at least.")
    pairs = f"{len(treatment)} seed pair{'s' if len(treatment) != 1 else ''}"
    yield f"{len(first.paths)} images, {len(set(first.units.tolist()))} units, {pairs}"
    for name, side in zip(("treatment", "baseline"), sides, strict=True):
        yield f"{name}: {_correlations(side)}"
    yield from _direction(sides)
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
    yield from _marked(found, {"treatment": ours, "baseline": theirs})
    yield from _beside(ours, theirs, first, resamples)


def _marked(found: statistics.Contrast, sides: dict[str, np.ndarray]) -> Iterator[str]:
    """The mark; it stays open where a run stands for several seeds, which would vary less than any seeds do."""
    part = statistics.Part(found)
    twice = [name for name, side in sides.items() if len(np.unique(side, axis=0)) < len(side)]
    p, most = statistics.claim_p([part]), statistics.trusted(found.df, found.S)
    mark = statistics.OPEN if twice else statistics.mark(part, p)
    remark = ""
    if found.S < statistics.FEWEST_PAIRS:
        remark = "; fewer than three seed pairs are always ?"
    elif most < found.df and not math.isnan(p):
        remark = f"; made with p {p:.3g} at {most:g} degrees of freedom: few seed pairs are trusted with no more"
    yield f"mark: {mark} (as the only claim{remark})"
    if twice:
        yield f"the same predictions stand more than once in {' and '.join(twice)}: that is one run, no further seed"


def _beside(ours: np.ndarray, theirs: np.ndarray, first: Predictions, resamples: int) -> Iterator[str]:
    """What never decides: the crossed bootstrap, Pitman and Morgan's test of each pair."""
    drawn = statistics.crossed_bootstrap(ours, theirs, first.scores, first.units, resamples=resamples)
    yield f"beside it, crossed bootstrap ({resamples:,}): [{drawn.low:+.4f}, {drawn.high:+.4f}]"
    tests = statistics.pitman_morgan(ours, theirs, first.scores)
    shown = ", ".join(_told(one.slope, one.p) for one in tests)
    yield f"beside it, Pitman and Morgan by pair (treatment): {shown}"


def _direction(sides: Sequence[Sequence[Predictions]]) -> Iterator[str]:
    """A line where both sides run against the scores: if lower ones are better, the difference has the wrong sign."""
    means = [np.mean([metrics.srcc(one.values, one.scores) for one in side]) for side in sides]
    if all(mean < 0 for mean in means):
        yield "both correlate negatively: if lower scores mean better images, the better side is the other one"


def _told(slope: float, p: float) -> str:
    """A test in words; without a p it found nothing to judge by."""
    if math.isnan(p):
        return "no test"
    return f"{'equal' if slope == 0 else 'smaller' if slope > 0 else 'larger'} errors, p {p:.3g}"


def _correlations(side: Sequence[Predictions]) -> str:
    values = [(metrics.srcc(one.values, one.scores), metrics.plcc(one.values, one.scores)) for one in side]
    srcc, plcc = np.mean(values, axis=0)
    return f"SRCC {srcc:.4f}, PLCC {plcc:.4f}" + (", means over seeds" if len(side) > 1 else "")


def _sampled(everyone: Sequence[Predictions]) -> Predictions:
    """The first file that names units, else the first: one that names none has nothing to say of them."""
    return next((one for one in everyone if tuple(one.units.tolist()) != one.paths), everyone[0])


def _same_images(first: Predictions, other: Predictions) -> None:
    if first.paths != other.paths:
        odd = sorted(set(first.paths) ^ set(other.paths))
        raise ReportError(
            f"{first.run} and {other.run} differ in {len(odd)} images ({', '.join(odd[:3])}): "
            "give predictions of the same images."
        )
    if not np.allclose(first.scores, other.scores):
        raise ReportError(f"{first.run} and {other.run} give the same images different scores: use one list of scores.")
    if tuple(other.units.tolist()) not in (other.paths, tuple(first.units.tolist())):
        raise ReportError(
            f"{first.run} and {other.run} put the same images into different units: use one list of them."
        )
