"""What is decided: paired differences between two arms, with the interval and the mark that the rules give them."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from iqa import statistics
from iqa.report.choosing import chosen
from iqa.report.document import Atom, Cell, Number, Text, Undefined, say
from iqa.report.evidence import Evidence
from iqa.report.predictions import Predictions

MARGINS = {"own": statistics.MARGIN_KONIQ, "cross": statistics.MARGIN_ACROSS}
MEANING = {
    "✓": "better",
    "✓ small": f"better, by less than {statistics.SMALL_BELOW:g}",
    "✗": "worse",
    "≈": "equal within the margin",
    "?": "undecided",
}


@dataclass(frozen=True)
class Comparison:
    """Treatment minus baseline on one data set, or on all targets together (`dataset` then names them all).

    delta_plcc: of each seed pair; hole: what stands in the place of a value; mark: only where something is decided;
    rounds: the random re-splits that it is a mean of, 0 where it is none.
    """

    name: str
    treatment: str
    baseline: str
    dataset: str
    kind: str  # own | target | cross
    seeds: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    delta_plcc: tuple[float, ...] = ()
    contrast: statistics.Contrast | None = None
    hole: Atom | None = None
    mark: str = ""
    rounds: int = 0

    @property
    def statistic(self) -> str:
        return "Nadeau–Bengio" if self.rounds else "crossed"

    @property
    def found(self) -> statistics.Contrast:
        """The contrast of a comparison without a hole."""
        assert self.contrast is not None, f"{self.name} on {self.dataset} has a hole"
        return self.contrast

    @property
    def has_interval(self) -> bool:
        """Two pairs at least, and a spread to estimate from."""
        return self.contrast is not None and self.contrast.S > 1 and math.isfinite(self.contrast.low)


def compare(evidence: Evidence) -> list[Comparison]:
    """Every contrast on every data set, then on the targets together; marks only where no claims are declared."""
    found: list[Comparison] = []
    for declared in evidence.experiment.get("contrasts", ()):
        found += contrasted(evidence, declared)
    return found if evidence.experiment.get("claims") else _marked(found, len(evidence.seeds))


def contrasted(evidence: Evidence, declared: Mapping[str, str]) -> list[Comparison]:
    """One contrast on its own data, on each target, and on the targets together."""
    sides = [chosen(evidence, declared[side]) for side in ("treatment", "baseline")]
    hole = next((side.hole for side in sides if side.hole is not None), None)
    if hole is not None:
        names = (declared["name"], declared["treatment"], declared["baseline"])
        places = [(evidence.own, "own"), *((target, "target") for target in evidence.targets)]
        empty = [Comparison(*names, dataset, kind, hole=hole) for dataset, kind in places]
        return [*empty, *([replace(empty[-1], kind="cross")] if evidence.targets else [])]
    arms = (declared["name"], sides[0].arm, sides[1].arm)
    own = compared(evidence, *arms, evidence.own, "own")
    targets = [compared(evidence, *arms, target, "target") for target in evidence.targets]
    if len(targets) > 1:
        return [own, *targets, together(targets)]
    return [own, *(replace(one, kind="cross") for one in targets)]


def sentence(evidence: Evidence, comparison: Comparison) -> Cell:
    """The comparison in words, by rule."""
    arms = f"{evidence.title(comparison.treatment)} against {evidence.title(comparison.baseline)}"
    where = f"{comparison.dataset} (test)" if comparison.kind == "own" else comparison.dataset
    if comparison.hole is not None:
        return say(f"{arms} on {where}: ", comparison.hole)
    verdict = f": {comparison.mark} {MEANING[comparison.mark]}" if comparison.mark else ""
    return say(f"{arms} on {where}: ΔSRCC ", delta_srcc(comparison), f", {_pairs(comparison)}{verdict}.")


def delta_srcc(comparison: Comparison) -> Number:
    """ΔSRCC with its crossed interval where there is one."""
    what, found = f"mean over seed pairs of ΔSRCC on {comparison.dataset}", comparison.found
    if not comparison.has_interval:
        return Number((found.delta,), "{0:+.4f}", comparison.runs, what)
    values, parts = (found.delta, found.low, found.high), ("mean", "low", "high")
    what = f"{what}, 95% {comparison.statistic} interval"
    return Number(values, "{0:+.4f} [{1:+.4f}, {2:+.4f}]", comparison.runs, what, parts)


def _pairs(comparison: Comparison) -> str:
    pairs = len(comparison.seeds)
    words = f"{pairs} seed pair{'s' if pairs != 1 else ''}"
    words += f" × {comparison.rounds} re-splits" if comparison.rounds else ""
    if comparison.has_interval:
        return words
    return f"{words}, no interval" + ("" if pairs == 1 else f": {comparison.found.why.rstrip('.')}")


def compared(
    evidence: Evidence,
    name: str,
    treatment: str,
    baseline: str,
    dataset: str,
    kind: str,
    without: Collection[str] = (),
    artifact: str = "predictions/{}.csv",
) -> Comparison:
    """Two arms on one data set; where it is split into folds, the folds are the sets of a macro mean.

    without: families whose images are left out; artifact: whose predictions are compared.
    """
    bare = Comparison(name, treatment, baseline, dataset, kind)
    stage = evidence.stage_of(dataset)
    folds = evidence.folds_of(stage)
    arms = (treatment, baseline)
    seeds = [s for s in evidence.seeds if all(evidence.run(stage, arm, s, f) for arm in arms for f in folds)]
    if not seeds:
        holes = [hole for arm in arms for hole in evidence.missing(stage, arm)]
        return replace(bare, hole=holes[0] if holes else Text("no seeds are declared"))
    found = []
    for fold in folds:
        sides = [[evidence.predictions(stage, a, s, dataset, fold, artifact) for s in seeds] for a in arms]
        hole = mismatch([one for side in sides for one in side], dataset)
        if hole is not None:
            return replace(bare, hole=hole)
        ours, theirs = [[one.without(without) for one in side if isinstance(one, Predictions)] for side in sides]
        found.append(_measured(replace(bare, seeds=tuple(seeds)), ours, theirs))
    return found[0] if len(found) == 1 else _mean_of(found, evidence.resplit)


def over_folds(contrasts: Sequence[statistics.Contrast], resplit: tuple[int, int] | None = None) -> statistics.Contrast:
    """The contrasts of several sets as one: a macro mean, or Nadeau's and Bengio's of re-splits that share images.

    resplit: images of the training and of the test part of a re-split.
    """
    if resplit is None or any(math.isnan(one.delta) for one in contrasts):
        return statistics.macro(contrasts)
    return statistics.nadeau_bengio([one.delta for one in contrasts], *resplit)


def _measured(bare: Comparison, ours: Sequence[Predictions], theirs: Sequence[Predictions]) -> Comparison:
    from iqa import metrics

    scores, units = ours[0].scores, ours[0].units
    runs = tuple(one.run for pair in zip(ours, theirs, strict=True) for one in pair)
    why = metrics.undefined(ours[0].values, scores)
    if len(scores) < 3:
        return replace(bare, runs=runs, hole=Undefined(why, runs))
    treatment, baseline = (np.stack([one.values for one in side]) for side in (ours, theirs))
    contrast = statistics.crossed(treatment, baseline, scores, units)
    if math.isnan(contrast.delta):
        reasons = (metrics.undefined(one.values, scores) for one in (*ours, *theirs))
        return replace(bare, runs=runs, hole=Undefined(next(filter(None, reasons), contrast.why), runs))
    plcc = [[metrics.plcc(one.values, scores) for one in side] for side in (ours, theirs)]
    delta_plcc = tuple(a - b for a, b in zip(*plcc, strict=True))
    return replace(bare, runs=runs, delta_plcc=delta_plcc, contrast=contrast)


def together(targets: Sequence[Comparison]) -> Comparison:
    """The mean over targets, of the seeds that all of them have."""
    return replace(_mean_of(targets), dataset=" + ".join(one.dataset for one in targets), kind="cross")


def _mean_of(sets: Sequence[Comparison], resplit: tuple[int, int] | None = None) -> Comparison:
    """The mean of comparisons of the same two arms on several sets, or on several re-splits of one."""
    bare = replace(sets[0], contrast=None, hole=None, rounds=len(sets) if resplit else 0)
    hole = next((one.hole for one in sets if one.hole is not None), None)
    if hole is not None:
        return replace(bare, seeds=(), delta_plcc=(), hole=hole)
    shared = [seed for seed in sets[0].seeds if all(seed in one.seeds for one in sets)]
    if any(len(one.seeds) != len(shared) for one in sets):
        why = "the sets have different seeds finished: run the missing cells first"
        return replace(bare, seeds=(), delta_plcc=(), hole=Undefined(why, bare.runs))
    return replace(
        bare,
        runs=tuple(dict.fromkeys(run for one in sets for run in one.runs)),
        delta_plcc=tuple(np.mean([one.delta_plcc for one in sets], axis=0).tolist()),
        contrast=over_folds([one.found for one in sets], resplit),
    )


def _marked(comparisons: Sequence[Comparison], wanted: int) -> list[Comparison]:
    """Marks on the decisive comparisons (own test, targets together), p adjusted by Holm over all of them.

    wanted: seed pairs that are declared; with fewer of them finished nothing is decided yet.
    """
    decisive = [at for at, one in enumerate(comparisons) if one.kind != "target"]
    ps = [statistics.marking_p(comparisons[at].found) if comparisons[at].has_interval else math.nan for at in decisive]
    adjusted = dict(zip(decisive, statistics.holm(ps), strict=True))
    return [
        replace(one, mark=_mark(one, adjusted[at], wanted)) if at in adjusted else one
        for at, one in enumerate(comparisons)
    ]


def _mark(one: Comparison, p: float, wanted: int) -> str:
    """By the rule of `statistics.mark`; nothing to decide on is '?'. No single set may be wholly below 0 for ✓."""
    if one.contrast is None or len(one.seeds) < wanted:
        return statistics.OPEN
    return statistics.mark(statistics.Part(one.contrast, MARGINS[one.kind]), p, guards=one.contrast.parts)


def mismatch(answers: Sequence[Predictions | Undefined], dataset: str) -> Undefined | None:
    """Why these predictions cannot be paired, if they cannot."""
    for one in answers:
        if isinstance(one, Undefined):
            return one
    found = [one for one in answers if isinstance(one, Predictions)]
    for one in found[1:]:
        if one.paths != found[0].paths or not np.array_equal(one.scores, found[0].scores):
            pair = (found[0].run, one.run)
            return Undefined(f"runs {pair[0]} and {pair[1]} tested different images or scores of {dataset}", pair)
    return None
