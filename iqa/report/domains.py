"""Does pretraining help more on sets that were degraded on purpose, as its own pictures are, than on authentic ones?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from iqa import statistics
from iqa.report.claims import Comparison, delta_srcc
from iqa.report.document import Atom, Cell, Number, Undefined, say
from iqa.report.evidence import Evidence


def domains(evidence: Evidence, comparisons: Sequence[Comparison]) -> Cell:
    """ΔSRCC of every set beside its kind; then the gain on the one kind against the gain on the other."""
    shown = [one for one in comparisons if "+" not in one.dataset]
    if not shown:
        return say("no contrasts")
    kinds = ["degraded on purpose" if degraded(evidence, one) else "authentic" for one in shown]
    cells: list[Atom | str] = []
    for one, kind in zip(shown, kinds, strict=True):
        cells += ["; " if cells else "", f"{one.dataset} ({kind}) ", one.hole or delta_srcc(one)]
    for name in dict.fromkeys(one.name for one in shown):
        sides = [
            [
                one
                for one, kind in zip(shown, kinds, strict=True)
                if one.name == name and _usable(one) and kind == wanted
            ]
            for wanted in ("degraded on purpose", "authentic")
        ]
        if all(sides) and len({one.seeds for side in sides for one in side}) == 1:
            cells += [f"; {name}: gain on the degraded sets less gain on the authentic ones ", against(*sides)]
    return say(*cells)


def degraded(evidence: Evidence, one: Comparison) -> bool:
    """Whether a set names the degradation of its images."""
    if not one.seeds:
        return False
    answer = evidence.predictions(evidence.stage_of(one.dataset), one.treatment, one.seeds[0], one.dataset)
    return any(getattr(answer, "families", ()))


def _usable(one: Comparison) -> bool:
    """Re-splits have no seed pairs that another set's could be taken from."""
    return one.hole is None and not one.rounds


def against(ours: Sequence[Comparison], theirs: Sequence[Comparison]) -> Number | Undefined:
    """Mean gain on some sets minus that on others, with its crossed interval: seeds are shared, units are not.

    Twice the macro mean of the one side and of the other side turned round.
    """
    one, other = (statistics.macro([each.found for each in side]) for side in (ours, theirs))
    turned = replace(other, delta=-other.delta, per_seed=tuple(-value for value in other.per_seed))
    half = statistics.macro([one, turned])
    runs = tuple(dict.fromkeys(run for each in (*ours, *theirs) for run in each.runs))
    what = "mean over seed pairs of the difference of two gains in SRCC"
    values = (2 * half.delta, 2 * half.low, 2 * half.high)
    if not np.isfinite(values[0]):
        return Undefined(half.why, runs)
    if not np.isfinite(values).all():
        return Number(values[:1], "{0:+.4f}", runs, what)
    parts = ("mean", "low", "high")
    return Number(values, "{0:+.4f} [{1:+.4f}, {2:+.4f}]", runs, f"{what}, 95% crossed interval", parts)
