"""The tables that the experiment is made for: own test set, other data sets, differences, ordering accuracy."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from iqa import statistics
from iqa.report.ceiling import ceiling
from iqa.report.claims import Comparison, delta_srcc, mismatch, over_folds, sentence
from iqa.report.document import Cell, Number, Paragraph, Quoted, Section, Table, Text, Undefined, say, slug
from iqa.report.evidence import Evidence, by_seed, count, duration, mean, one, spread, tested
from iqa.report.peers import PEERS, TRAINED_ON, letter, quotations
from iqa.report.predictions import Predictions

MAIN = ("Model", "SRCC", "SRCC 95%", "PLCC", "Seeds", "Training time", "Source")
FURTHER = {"krcc": "KRCC", "plcc_logistic": "PLCC, logistic", "rmse": "RMSE"}


def results(evidence: Evidence, comparisons: Sequence[Comparison]) -> Section:
    """Own test set, differences, other data sets, ordering accuracy."""
    parts = [
        Section(
            f"Main results: {evidence.own}, test part",
            (main_table(evidence), quotations(), further_table(evidence), ceiling(evidence)),
        ),
        Section("Does pretraining help?", _improvement(evidence, comparisons)),
    ]
    if evidence.targets:
        parts.append(Section("Cross-data generalisation", (cross_table(evidence),)))
    if evidence.pretrained:
        parts.append(Section("Held-out ordering accuracy", (ordering_table(evidence),)))
    return Section("Results", (), tuple(parts))


def main_table(evidence: Evidence, quoted: bool = True) -> Table:
    """An arm a row on the test part of its own data; then what others published, marked as quoted."""
    rows = [_main_row(evidence, arm) for arm in evidence.arms]
    if not quoted:
        return Table("main", (), MAIN, tuple(rows))
    rows += [_quoted_row(name, numbers[TRAINED_ON], source) for name, (numbers, source) in PEERS.items()]
    comparable = "." if evidence.own == TRAINED_ON else f", and not comparable with {evidence.own}."
    caption = say(
        f"Mean ± standard deviation over seeds on the test part of {evidence.own}{_of_folds(evidence)}; the interval "
        "is for the arm's mean SRCC, over seeds and units. Training time: pretraining + fine-tuning of one seed. "
        f"Quoted rows are published numbers for KonIQ-10k, not re-run{comparable}"
    )
    return Table("main", caption, MAIN, tuple(rows), stack=True)


def _of_folds(evidence: Evidence) -> str:
    parts = "re-splits" if evidence.resplit else "folds"
    return f", a seed's value being the mean of its {len(evidence.folds)} {parts}" if len(evidence.folds) > 1 else ""


def further_table(evidence: Evidence) -> Table:
    """The other metrics of the same predictions."""
    own = evidence.own
    rows = tuple(
        (
            say(evidence.title(arm)),
            *(mean(evidence, "finetune", arm, tested(own, key)) for key in FURTHER),
            images(evidence, arm),
        )
        for arm in evidence.arms
    )
    caption = say("The same models on the same images, by other measures; RMSE in units of the [0, 1] scale.")
    return Table("further", caption, ("Model", *FURTHER.values(), "Images"), rows, stack=True)


def images(evidence: Evidence, arm: str) -> Cell:
    """How many images a seed of the arm was tested on, in its finished folds: one number where the seeds agree."""
    rows, key = evidence.runs("finetune", arm), tested(evidence.own, "n")
    told = [row for row in rows if row.metrics.get(key)]
    if not rows or len(told) < len(rows):
        return mean(evidence, "finetune", arm, key, 1)
    counts = by_seed([row.metrics[key] for row in rows], rows)
    if not evidence.resplit:  # re-splits share images, folds do not
        finished = Counter(str(row.tags.get("seed")) for row in rows)
        counts = [count * times for count, times in zip(counts, finished.values(), strict=True)]
    return (spread(sorted(set(counts)), rows, f"sum of {key} over a seed's folds", 0),)


def cross_table(evidence: Evidence) -> Table:
    """SRCC and PLCC of each arm on each target set."""
    rows = []
    for arm in evidence.arms:
        pairs = [
            (mean(evidence, "evaluate", arm, tested(target, key)))
            for target in evidence.targets
            for key in ("srcc", "plcc")
        ]
        rows.append((say(evidence.title(arm)), *pairs, count(evidence, "evaluate", arm)))
    known = [target for target in evidence.targets if any(target in numbers for numbers, _ in PEERS.values())]
    for name, (numbers, source) in PEERS.items() if known else ():
        scores = [part for target in evidence.targets for part in numbers.get(target, ("–", "–"))]
        rows.append((say(name), *((Quoted(text, source),) for text in scores), say(f"quoted [{letter(source)}]")))
    columns = [f"{target} {key}" for target in evidence.targets for key in ("SRCC", "PLCC")]
    caption = say(f"Models trained on {evidence.own} only, tested on whole target sets; mean ± std over seeds.")
    return Table("cross", caption, ("Model", *columns, "Seeds"), tuple(rows), stack=True)


def difference_table(evidence: Evidence, comparisons: Sequence[Comparison]) -> Table:
    """ΔSRCC with its crossed interval, ΔPLCC, p and mark of every contrast on every data set."""
    rows = tuple(_difference_row(evidence, one) for one in comparisons)
    caption = say(
        "Treatment minus baseline, paired by seed, on the same images; 95% interval from crossed variance components "
        "(seeds × units). Marks, on the rows that decide, after Holm's adjustment: ✓ better, ✗ worse, ≈ equal within "
        "the margin, ? undecided; fewer than three seed pairs are always ?."
    )
    return Table(
        "differences", caption, ("Contrast", "Data", "ΔSRCC", "ΔPLCC", "p", "Seed pairs", "Mark"), rows, stack=True
    )


def ordering_table(evidence: Evidence) -> Table:
    """Share of level pairs that the pretrained encoder's score puts in the right order, per family."""
    arms = evidence.pretrained
    suffixes = {family: f"/{family}" for family in ordering_families(evidence)} | {"mean": ""}
    rows = [
        (say(name), *(mean(evidence, "pretrain", arm, f"final/ordering{suffix}", 3) for arm in arms))
        for name, suffix in suffixes.items()
    ]
    caption = say(
        "Same crop, validation images, all pairs of levels: share in the right order (1 = all, 0.5 = chance)."
    )
    return Table("ordering", caption, ("Family", *(evidence.title(arm) for arm in arms)), tuple(rows))


def own_srcc(evidence: Evidence, arm: str) -> Cell:
    """An arm's SRCC on its own test part."""
    return mean(evidence, "finetune", arm, tested(evidence.own, "srcc"))


def headline_metrics(evidence: Evidence, comparisons: Sequence[Comparison]) -> dict[str, float]:
    """What the parent run carries: each arm's mean, spread and interval, each contrast's ΔSRCC with its interval."""
    found: dict[str, float] = {}
    for arm in evidence.arms:
        for part, cell in {"srcc": own_srcc(evidence, arm), "srcc_interval": arm_interval(evidence, arm)}.items():
            found |= _metrics(f"arm/{arm}/{part}", cell)
    for shown in (comparison for comparison in comparisons if comparison.hole is None):
        where = "targets" if shown.kind == "cross" else slug(shown.dataset)
        found |= _metrics(f"delta/{shown.name}/{where}/srcc", (delta_srcc(shown),))
    return found


def _metrics(name: str, cell: Cell) -> dict[str, float]:
    numbers = [atom for atom in cell if isinstance(atom, Number)]
    return {
        f"{name}/{part}".rstrip("/"): value
        for number in numbers
        for part, value in zip(number.parts, number.values, strict=True)
    }


def ordering_families(evidence: Evidence) -> list[str]:
    """The families that any pretraining run was tested on."""
    rows = [row for arm in evidence.pretrained for row in evidence.runs("pretrain", arm)]
    return sorted(
        {
            key.removeprefix("final/ordering/")
            for row in rows
            for key in row.metrics
            if key.startswith("final/ordering/")
        }
    )


def _main_row(evidence: Evidence, arm: str) -> tuple[Cell, ...]:
    name, seeds = say(Text(evidence.title(arm), strong=True)), count(evidence, "finetune", arm)
    srcc, plcc = (mean(evidence, "finetune", arm, tested(evidence.own, key)) for key in ("srcc", "plcc"))
    times = training_time(evidence, arm)
    return (name, srcc, arm_interval(evidence, arm), plcc, seeds, times, say("this experiment"))


def training_time(evidence: Evidence, arm: str) -> Cell:
    """Hours of pretraining, where there is any, and of fine-tuning."""
    stages = ["pretrain", "finetune"] if arm in evidence.pretrained else ["finetune"]
    cells = [_hours(evidence, stage, arm) for stage in stages]
    hole = next((cell for cell in cells if not isinstance(cell[0], Number)), None)
    return hole or tuple(atom for cell in cells for atom in (Text(" + "), *cell))[1:]


def _hours(evidence: Evidence, stage: str, arm: str) -> Cell:
    cell = mean(evidence, stage, arm, "cost/hours")
    if not isinstance(cell[0], Number):
        return cell
    rows = evidence.runs(stage, arm)
    hours = duration([cell[0].values[0]], rows, f"mean cost/hours of {len(rows)} {stage} runs")
    return (replace(hours, parts=(stage,)),)


def arm_interval(evidence: Evidence, arm: str) -> Cell:
    """95% interval of the arm's mean SRCC on its own test part.

    From two seeds on: seeds and units crossed, as a difference to the perfect order, whose influences are all 0.
    One seed: the interval that its own run logged, over units alone.
    """
    rows, key = evidence.runs("finetune", arm), tested(evidence.own, "srcc")
    if not rows:
        return tuple(evidence.missing("finetune", arm)[:1])
    seeds = [seed for seed in evidence.seeds if evidence.run("finetune", arm, seed)]
    if len(rows) == 1:
        ends = [one(evidence, rows[0], f"{key}_{end}") for end in ("low", "high")]
        if not all(isinstance(end, Number) for end in ends):
            return (next(end for end in ends if not isinstance(end, Number)),)
        low, high = (end.values[0] for end in ends if isinstance(end, Number))
        what = f"95% interval of {key} over units, logged by the run"
        return (Number((low, high), "[{0:.3f}, {1:.3f}]", (rows[0].run_id,), what, ("low", "high")),)
    folds = evidence.folds_of("finetune")
    seeds = [seed for seed in seeds if all(evidence.run("finetune", arm, seed, fold) for fold in folds)]
    if not seeds:
        return tuple(evidence.missing("finetune", arm)[:1])
    answers = [[evidence.predictions("finetune", arm, s, evidence.own, fold) for s in seeds] for fold in folds]
    return (_crossed_interval(answers, evidence.own, evidence.resplit),)


def _crossed_interval(
    folds: Sequence[Sequence[Predictions | Undefined]], dataset: str, resplit: tuple[int, int] | None
) -> Number | Undefined:
    """The interval of a mean SRCC over seeds and units, and over folds where there are several."""
    contrasts, runs = [], []
    for found in folds:
        hole = mismatch(found, dataset)
        if hole is not None:
            return hole
        models = [answer for answer in found if isinstance(answer, Predictions)]
        scores, values = models[0].scores, np.stack([model.values for model in models])
        contrasts.append(statistics.crossed(values, np.broadcast_to(scores, values.shape), scores, models[0].units))
        runs += [model.run for model in models]
    contrast = contrasts[0] if len(contrasts) == 1 else over_folds(contrasts, resplit)
    if not np.isfinite(contrast.low):
        return Undefined(contrast.why, tuple(runs))
    ends = (1 + contrast.low, min(1 + contrast.high, 1.0))
    what = f"95% interval of the mean SRCC on {dataset}, seeds and units crossed"
    return Number(ends, "[{0:.3f}, {1:.3f}]", tuple(runs), what, ("low", "high"))


def _quoted_row(name: str, numbers: tuple[str, str], source: str) -> tuple[Cell, ...]:
    srcc, plcc = ((Quoted(text, source),) for text in numbers)
    empty = say("–")
    return (say(name), srcc, empty, plcc, empty, empty, say(f"quoted, not re-run [{letter(source)}]"))


def _improvement(evidence: Evidence, comparisons: Sequence[Comparison]) -> tuple[Paragraph | Table, ...]:
    if not comparisons:
        return (Paragraph(say("This experiment declares no contrast, so nothing is decided.")),)
    decisive = [one for one in comparisons if one.kind != "target"]
    words = tuple(Paragraph(sentence(evidence, one), "item") for one in decisive)
    return (*words, difference_table(evidence, comparisons))


def _difference_row(evidence: Evidence, one: Comparison) -> tuple[Cell, ...]:
    name = f"{evidence.title(one.treatment)} {chr(0x2212)} {evidence.title(one.baseline)}"
    head = (say(name), say(one.dataset))
    mark = say(Text(one.mark, strong=True)) if one.mark else say("–")
    if one.hole is not None:
        return (*head, *((one.hole,) for _ in range(4)), mark)
    pairs = len(one.seeds)
    spread_plcc: Cell = (Number((float(np.mean(one.delta_plcc)),), "{0:+.4f}", one.runs, "ΔPLCC of one seed pair"),)
    if pairs > 1:
        pair = (float(np.mean(one.delta_plcc)), float(np.std(one.delta_plcc, ddof=1)))
        what = f"mean ± standard deviation of ΔPLCC over {pairs} seed pairs"
        spread_plcc = (Number(pair, "{0:+.4f} ± {1:.4f}", one.runs, what, ("mean", "std")),)
    p = (_p(one),) if one.has_interval else say("–")
    seeds = (Number((float(pairs),), "{0:.0f}", one.runs, "seed pairs with both runs finished"),)
    return (*head, (delta_srcc(one),), spread_plcc, p, seeds, mark)


def _p(one: Comparison) -> Number:
    template = "{0:.3f}" if one.found.p >= 0.001 else "{0:.1e}"
    return Number((one.found.p,), template, one.runs, f"p of the {one.statistic} t statistic, unadjusted")
