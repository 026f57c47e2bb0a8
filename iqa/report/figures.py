"""Every figure of the report, from histories and predictions; `plots` draws, this file decides what is drawn."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from iqa.report import looks, plots
from iqa.report.claims import Comparison
from iqa.report.document import Figure, Missing, Panel, Paragraph, Section, say, slug
from iqa.report.evidence import Evidence, Row, tested
from iqa.report.predictions import Predictions
from iqa.report.results import ordering_families

Curves = dict[str, dict[str, list[tuple[int, float]]]]  # arm → seed (and fold) → (epoch, value)

POINTS = 100  # of a fitted curve
PRETRAIN = {"train/loss": "Total loss", "train/consistency": "Consistency term", "train/ranking": "Ranking term"}


def visualisations(evidence: Evidence, comparisons: Sequence[Comparison]) -> Section:
    """What is not a training curve."""
    scatters = tuple(scatter(evidence, name) for name in (evidence.own, *evidence.targets))
    between = forest(evidence, comparisons)
    parts = [Section("Differences between the arms", (between,))] if between else []
    parts.append(Section("Predicted against given quality", scatters))
    if evidence.pretrained:
        parts.append(Section("Ordering by family", (ordering(evidence),)))
    return Section("Visualisations", (), (*parts, *looks.looks(evidence)))


def curves(evidence: Evidence, stage: str, arms: Sequence[str], key: str) -> Curves:
    """A metric's history of every finished run, by arm and seed (and fold): two arms may have one title."""
    found: Curves = {}
    for arm in arms:
        places = evidence.places(stage, arm)
        lines = {place: finite(evidence.history(row.run_id, key)) for place, row in places.items()}
        if any(lines.values()):
            found[arm] = {place: line for place, line in lines.items() if line}
    return found


def over(evidence: Evidence, stage: str) -> str:
    """What a mean over an arm's runs of a stage is a mean over."""
    return "seeds and folds" if len(evidence.folds_of(stage)) > 1 else "seeds"


def finite(history: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The epochs at which a metric was defined, in order."""
    return sorted((int(step), float(value)) for step, value in history if np.isfinite(value))


def pretraining(evidence: Evidence) -> Figure | Paragraph:
    """Loss terms and held-out ordering per epoch."""
    arms = evidence.pretrained
    panels = {key: (title, curves(evidence, "pretrain", arms, key)) for key, title in PRETRAIN.items()}
    panels["val/ordering"] = ("Held-out ordering accuracy", curves(evidence, "pretrain", arms, "val/ordering"))
    caption = "Pretraining per epoch: the loss and its terms, and the held-out ordering accuracy (validation images)."
    return _line_figure(evidence, "pretraining-curves", caption, panels, "pretrain", arms)


def finetuning(evidence: Evidence) -> Figure | Paragraph:
    """Training loss, training, validation and test correlation per epoch, arms in one panel."""
    own = evidence.own
    keys = {
        "train/loss": "Training loss",
        "train/srcc": "Training SRCC",
        "val/srcc": "Validation SRCC",
        tested(own, "epoch_srcc"): "Test SRCC, for display only",
    }
    panels = {key: (title, curves(evidence, "finetune", evidence.arms, key)) for key, title in keys.items()}
    caption = (
        "Fine-tuning per epoch. The test curve is computed after that epoch's selection decision; nothing reads it."
    )
    return _line_figure(evidence, "finetuning-curves", caption, panels, "finetune", evidence.arms)


def scatter(evidence: Evidence, dataset: str) -> Figure | Paragraph:
    """Predicted against given score, an arm a panel: the models of the first finished seed."""
    stage = evidence.stage_of(dataset)
    shown: list[tuple[str, int, Predictions]] = []
    for arm in evidence.arms:
        seed = next((seed for seed in evidence.seeds if evidence.run(stage, arm, seed)), None)
        found = None if seed is None else evidence.predictions(stage, arm, seed, dataset)
        if seed is not None and isinstance(found, Predictions) and found.paths:
            shown.append((arm, seed, found))
    if not shown:
        return _hole(evidence, stage, evidence.arms, f"Predicted against given score on {dataset}")
    span = (min(float(one.values.min()) for *_, one in shown), max(float(one.values.max()) for *_, one in shown))
    caption = (
        f"Predicted against given score on {dataset}, each point an image, of the first seed's model. "
        "Dashed: equality. Solid: the 4-parameter logistic that the tables' logistic PLCC is computed after, from "
        "prediction to score, where its fit ended."
    )
    return Figure(
        f"scatter-{slug(dataset)}",
        caption,
        tuple(_scatter(evidence, dataset, span, *one) for one in shown),
        ("arm", "seed", "path", "score", "prediction", "fitted"),
        tuple(
            (arm, seed, *line)
            for arm, seed, one in shown
            for line in zip(
                one.paths, *(part.tolist() for part in (one.scores, one.values, fitted(one)[0])), strict=True
            )
        ),
        tuple(one.run for *_, one in shown),
    )


def fitted(found: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """The score to which the logistic takes each prediction (n,), nan without a fit; its curve (2, m), or no points."""
    from iqa import metrics

    parameters = metrics.plcc_logistic(found.values, found.scores).parameters
    if not parameters:
        return np.full(len(found.values), np.nan), np.zeros((2, 0))
    along = np.linspace(found.values.min(), found.values.max(), POINTS)
    return metrics.logistic(found.values, *parameters), np.stack([metrics.logistic(along, *parameters), along])


def _scatter(
    evidence: Evidence, dataset: str, span: tuple[float, float], arm: str, seed: int, found: Predictions
) -> Panel:
    name = f"{evidence.title(arm)}, seed {seed}"
    curve, title = fitted(found)[1], f"{name}: {dataset}"
    png = plots.scatter(found.scores, found.values, curve, title, evidence.arms.index(arm), span)
    return Panel(
        slug(arm), png, f"Scatter plot, {name}: {len(found.paths)} images of {dataset}, predicted over given score."
    )


def ordering(evidence: Evidence) -> Figure | Paragraph:
    """Held-out ordering accuracy per family, every seed a dot."""
    families, arms = ordering_families(evidence), evidence.pretrained
    values: dict[str, dict[str, list[float]]] = {}
    data, rows = [], []
    ran = [(arm, seed, row) for arm in arms for seed, row in evidence.places("pretrain", arm).items()]
    for (arm, seed, row), family in product(ran, families):
        value = row.metrics.get(f"final/ordering/{family}")
        if value is not None and np.isfinite(value):
            values.setdefault(arm, {}).setdefault(family, []).append(value)
            data.append((arm, seed, family, float(value)))
            rows.append(row)
    if not data:
        return _hole(evidence, "pretrain", arms, "Held-out ordering accuracy by family")
    alt = f"Dot plot of ordering accuracy for the families {', '.join(families)}; every seed of every arm is a dot."
    panel = Panel(
        "families", plots.dots(values, families, "Ordering accuracy after pretraining", _titles(evidence)), alt
    )
    caption = "Held-out ordering accuracy after pretraining, every seed a dot; 0.5 is chance."
    header = ("arm", "seed", "family", "accuracy")
    return Figure("ordering", caption, (panel,), header, tuple(data), _ids(rows))


def forest(evidence: Evidence, comparisons: Sequence[Comparison]) -> Figure | None:
    """ΔSRCC of every contrast on every data set with its interval, every seed pair a dot."""
    shown = [one for one in comparisons if one.hole is None]
    if not shown:
        return None
    labels = [one.dataset if one.kind != "cross" else "mean of targets" for one in shown]
    if len({one.name for one in shown}) > 1:
        labels = [f"{one.name}: {label}" for one, label in zip(shown, labels, strict=True)]
    ends = [_ends(one) for one in shown]
    png = plots.forest(labels, [one.found.delta for one in shown], ends, [one.found.per_seed for one in shown])
    data = [
        (one.name, one.dataset, one.kind, one.found.delta, low, high, seed, delta)
        for one, (low, high) in zip(shown, ends, strict=True)
        for seed, delta in zip(one.seeds, one.found.per_seed, strict=True)
    ]
    alt = "Forest plot of ΔSRCC with 95% intervals: " + "; ".join(labels) + "."
    caption = "ΔSRCC, treatment minus baseline, with its 95% crossed interval; each small dot is a seed pair."
    header = ("contrast", "data", "kind", "delta", "low", "high", "seed", "seed_delta")
    runs = tuple(dict.fromkeys(run for one in shown for run in one.runs))
    return Figure("forest", caption, (Panel("delta-srcc", png, alt),), header, tuple(data), runs)


def _ends(one: Comparison) -> tuple[float, float]:
    """The interval, or the mean twice where there is none."""
    return (one.found.low, one.found.high) if one.has_interval else (one.found.delta, one.found.delta)


def _line_figure(
    evidence: Evidence,
    name: str,
    caption: str,
    panels: dict[str, tuple[str, Curves]],
    stage: str,
    arms: Sequence[str],
) -> Figure | Paragraph:
    drawn, data = [], []
    for key, (title, lines) in panels.items():
        if not lines:
            continue
        named = ", ".join(map(evidence.title, lines))
        alt = f"{title} per epoch for {named}; mean over {over(evidence, stage)} and the range between them."
        drawn.append(Panel(slug(key), plots.lines(lines, title, _titles(evidence)), alt))
        data += [
            (key, evidence.title(arm), seed, *point)
            for arm, runs in lines.items()
            for seed, line in runs.items()
            for point in line
        ]
    if not drawn:
        return _hole(evidence, stage, arms, caption)
    several = any(len(runs) > 1 for _, lines in panels.values() for runs in lines.values())
    seeds = f" Line: mean over {over(evidence, stage)}; band: their range." if several else ""
    rows = [row for arm in arms for row in evidence.runs(stage, arm)]
    return Figure(
        name, caption + seeds, tuple(drawn), ("metric", "arm", "seed", "epoch", "value"), tuple(data), _ids(rows)
    )


def _titles(evidence: Evidence) -> dict[str, str]:
    """The arms in their order, which fixes their colours."""
    return {arm: evidence.title(arm) for arm in evidence.arms}


def _ids(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.run_id for row in rows))


def _hole(evidence: Evidence, stage: str, arms: Sequence[str], what: str) -> Paragraph:
    """In the place of a figure: the commands that would make it."""
    holes: list[Missing] = [hole for arm in arms for hole in evidence.missing(stage, arm)]
    if not holes:
        return Paragraph(say(f"{what}: the finished runs left no such values."), "note")
    return Paragraph(say(f"{what}: no run has finished; ", holes[0]), "note")
