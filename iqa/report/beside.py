"""What stands beside the verdict and never decides: the crossed bootstrap, Pitman and Morgan's test of each pair."""

from collections.abc import Sequence

import numpy as np

from iqa import statistics
from iqa.report.claims import Comparison, mismatch
from iqa.report.document import Atom, Cell, Number, Table, Undefined, say
from iqa.report.evidence import Evidence
from iqa.report.kept import kept
from iqa.report.predictions import Predictions

RESAMPLES = 10_000
LEVEL = 0.05  # of a single Pitman-Morgan test, unadjusted

Sides = tuple[list[Predictions], list[Predictions]]  # of the treatment and of the baseline, seed by seed


def beside(evidence: Evidence, comparisons: Sequence[Comparison]) -> list[Table]:
    """One table, a row for each data set of the contrasts that claims name (of all contrasts where none is claimed)."""
    claimed = {claim["contrast"] for claim in evidence.experiment.get("claims", ())}
    shown = [one for one in comparisons if "+" not in one.dataset and (not claimed or one.name in claimed)]
    if not shown:
        return []
    caption = say(
        f"Beside the verdict, and read by no mark: the 95% interval of the crossed bootstrap ({RESAMPLES:,} resamples "
        "of seed pairs and units), and in how many seed pairs Pitman and Morgan's test (rank errors, HC3, images as "
        f"units) finds the treatment's errors smaller, with p < {LEVEL}, unadjusted, on either side."
    )
    columns = ("Contrast", "Data", "ΔSRCC, bootstrap 95%", "Smaller errors", f"Of these p < {LEVEL}", "Larger, p < .05")
    return [Table("beside", caption, columns, tuple(_row(evidence, one) for one in shown), stack=True)]


def _row(evidence: Evidence, one: Comparison) -> tuple[Cell, ...]:
    head = (say(one.name), say(one.dataset))
    if one.hole is not None:
        return (*head, *((one.hole,) for _ in range(4)))
    folds = [_sides(evidence, one, fold) for fold in evidence.folds_of(evidence.stage_of(one.dataset))]
    return (*head, (_bootstrap(evidence, one, folds),), *((count,) for count in _counts(one, folds)))


def _sides(evidence: Evidence, one: Comparison, fold: str) -> Sides:
    """The answers that the comparison was made of: it has no hole, so that all of them are there and pair."""
    stage = evidence.stage_of(one.dataset)
    found = [
        [evidence.predictions(stage, arm, seed, one.dataset, fold) for seed in one.seeds]
        for arm in (one.treatment, one.baseline)
    ]
    assert mismatch([answer for side in found for answer in side], one.dataset) is None
    ours, theirs = ([answer for answer in side if isinstance(answer, Predictions)] for side in found)
    return ours, theirs


@kept
def interval(folds: Sequence[tuple[np.ndarray, ...]], dataset: str, resamples: int) -> bytes:
    """The 95% interval's two float64; of each fold (S, n), (S, n), (n,), (n,) as `crossed_bootstrap` takes them."""
    drawn = [
        statistics.crossed_bootstrap(*map(np.asarray, fold), resamples=resamples, name=f"{dataset} {at}")
        for at, fold in enumerate(folds)
    ]
    found = statistics.macro_bootstrap(drawn)
    return np.array([found.low, found.high]).tobytes()


def _stacked(side: Sequence[Predictions]) -> np.ndarray:
    """A row for each seed: (S, n)."""
    return np.stack([answer.values for answer in side])


def _bootstrap(evidence: Evidence, one: Comparison, folds: Sequence[Sides]) -> Atom:
    """Of folds the mean, which share their seed draws; re-splits share images too, and have none."""
    if one.rounds:
        return Undefined("re-splits share their images, which a bootstrap of units does not know", one.runs)
    sides = [(_stacked(ours), _stacked(theirs), ours[0].scores, ours[0].units) for ours, theirs in folds]
    low, high = np.frombuffer(interval(sides, one.dataset, RESAMPLES)).tolist()
    if not np.isfinite(low):
        return Undefined("no resample has an order to correlate with", one.runs)
    what = f"ΔSRCC on {one.dataset}, 95% percentile interval of the crossed bootstrap"
    return Number((low, high), "[{0:+.4f}, {1:+.4f}]", one.runs, what, ("low", "high"))


def _counts(one: Comparison, folds: Sequence[Sides]) -> tuple[Number, Number, Number]:
    """Pairs of all folds with smaller errors, those of them with a small p, pairs with larger errors and a small p."""
    tests = [
        test
        for ours, theirs in folds
        for test in statistics.pitman_morgan(_stacked(ours), _stacked(theirs), ours[0].scores)
    ]
    smaller = [test for test in tests if test.slope > 0]
    counts = (
        len(smaller),
        sum(test.p < LEVEL for test in smaller),
        sum(test.p < LEVEL for test in tests if test.slope < 0),
    )
    names = ("smaller errors", f"smaller errors, p < {LEVEL}", f"larger errors, p < {LEVEL}")
    first, second, third = (
        Number((float(count),), f"{{0:.0f}} of {len(tests)}", one.runs, f"Pitman-Morgan on {one.dataset}: {name}")
        for count, name in zip(counts, names, strict=True)
    )
    return first, second, third
