"""The rater ceiling: what people themselves would reach, and how much of it the models do."""

import numpy as np

from iqa.report.document import Cell, Paragraph, Table, say
from iqa.report.evidence import Evidence, by_seed, mean, spread, tested


def ceiling(evidence: Evidence) -> Table | Paragraph:
    """What another panel of the same raters would reach on the test part, and the share of it that an arm reaches."""
    key = tested(evidence.own, "ceiling/srcc")
    runs = {arm: evidence.runs("finetune", arm) for arm in evidence.arms}
    if not any(key in row.metrics for rows in runs.values() for row in rows):
        why = f"Rater ceiling: {evidence.own} does not tell its raters' votes, so what another panel would reach"
        return Paragraph(say(f"{why} is not known."), "note")
    rows = tuple(
        (say(evidence.title(arm)), mean(evidence, "finetune", arm, key), *_attained(evidence, arm)) for arm in runs
    )
    caption = say(
        "The rater ceiling: SRCC with the published scores of panels that are drawn anew from each test image's own "
        "votes. It is a little optimistic, since the accidents of these votes count as quality. Attained: the mean "
        "over seeds of SRCC / ceiling."
    )
    return Table("ceiling", caption, ("Model", "Ceiling", "Attained"), rows)


def _attained(evidence: Evidence, arm: str) -> tuple[Cell]:
    rows = evidence.runs("finetune", arm)
    pairs = [[row.metrics.get(tested(evidence.own, key), np.nan) for key in ("srcc", "ceiling/srcc")] for row in rows]
    if not rows or not np.isfinite(pairs).all():
        return (mean(evidence, "finetune", arm, tested(evidence.own, "srcc")),)
    shares = by_seed([srcc / best for srcc, best in pairs], rows)
    what = f"{tested(evidence.own, 'srcc')} / {tested(evidence.own, 'ceiling/srcc')}"
    return ((spread(shares, rows, what, 1, (100.0, " %")),),)
