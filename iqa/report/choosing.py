"""Tuned against tuned: the arm that validation chooses from a group, and what the other rates would have given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iqa import statistics
from iqa.report.document import Atom, Number, Paragraph, Section, Table, Text, Undefined, say
from iqa.report.evidence import Evidence, Row, by_seed, mean

KEY = "best/val_srcc"


@dataclass(frozen=True)
class Chosen:
    """The arm that stands for a name, or the hole in its place; edge: it is the first or last of its grid."""

    arm: str
    hole: Atom | None = None
    edge: bool = False


def chosen(evidence: Evidence, name: str) -> Chosen:
    """An arm stands for itself; a group for its arm with the highest mean validation SRCC over all declared seeds.

    Every arm of the group needs all its seeds first: an arm with a lucky half is not chosen.
    """
    group = evidence.experiment.get("groups", {}).get(name)
    if group is None:
        return Chosen(name)
    arms = list(group["arms"])
    holes = [hole for arm in arms for hole in evidence.missing("finetune", arm)]
    if holes:
        return Chosen("", holes[0])
    means = [_validation(evidence, arm) for arm in arms]
    if not np.isfinite(means).any():
        return Chosen("", Text(f"no arm of {name} has a defined validation SRCC"))
    best = int(np.nanargmax(means))
    return Chosen(arms[best], edge=best in (0, len(arms) - 1))


def partner(evidence: Evidence, contrast: dict, arm: str) -> str:
    """The treatment's arm at the place of its grid at which the baseline's `arm` stands in its own."""
    groups = evidence.experiment.get("groups", {})
    ours, theirs = (groups.get(contrast[side], {}).get("arms", ()) for side in ("treatment", "baseline"))
    return ours[list(theirs).index(arm)] if arm in theirs and len(ours) == len(theirs) else ""


def section(evidence: Evidence) -> list[Section]:
    """Which arm stands for each group, with the validation values that chose it."""
    groups = evidence.experiment.get("groups", {})
    if not groups:
        return []
    rows, words = [], []
    for name in groups:
        found = chosen(evidence, name)
        if found.edge:
            edge = (
                f"{evidence.title(name)}: {evidence.title(found.arm)} is at the edge of its grid; wider may be better."
            )
            words.append(Paragraph(say(edge), "item"))
        for arm in groups[name]["arms"]:
            mark = found.hole or Text("chosen" if found.arm == arm else "–", strong=found.arm == arm)
            values = mean(evidence, "finetune", arm, KEY)
            rows.append((say(evidence.title(name)), say(evidence.title(arm)), values, (mark,)))
    caption = say("Each group's rate, chosen by the mean over seeds of the selected epoch's validation SRCC.")
    table = Table("chosen", caption, ("Group", "Arm", "Validation SRCC", "Choice"), tuple(rows), stack=True)
    return [Section("Choice of the encoder rate", (table, *words, *_interaction(evidence)))]


def _interaction(evidence: Evidence) -> list[Paragraph]:
    """Does the gain depend on the rate? Validation gain at the highest rate minus the one at the lowest, by seed."""
    groups = evidence.experiment.get("groups", {})
    found = []
    for contrast in evidence.experiment.get("contrasts", ()):
        sides = [groups.get(contrast[side], {}).get("arms", ()) for side in ("treatment", "baseline")]
        if not all(sides) or len(sides[0]) != len(sides[1]):
            continue
        rows = _shared(evidence, [side[at] for at in (0, -1) for side in sides])
        if len(rows[0]) < 2:
            continue
        first, first_base, last, last_base = (np.array(_values(part)) for part in rows)
        runs = tuple(row.run_id for part in rows for row in part)
        text = f"Interaction of {contrast['name']} with the rate (validation SRCC, last rate minus first): "
        gain = _gain((last - last_base) - (first - first_base), runs)
        found.append(Paragraph(say(text, gain, f"{_short(evidence, len(rows[0]))}."), "item"))
    return found


def _shared(evidence: Evidence, arms: Sequence[str]) -> list[list[Row]]:
    """Each arm's runs of the seeds (and folds) that all of the arms have, in one order: pairs are of the same seed."""
    places = [evidence.places("finetune", arm) for arm in arms]
    common = [place for place in places[0] if all(place in other for other in places)]
    return [[one[place] for place in common] for one in places]


def _short(evidence: Evidence, count: int) -> str:
    """How many runs of each arm a number is from, where that is not all of them."""
    wanted = len(evidence.seeds) * len(evidence.folds)
    return f", from {count} of the {wanted} runs that each arm is to have" if count < wanted else ""


def _gain(differences: np.ndarray, runs: tuple[str, ...]) -> Number | Undefined:
    """The mean over seeds with its interval, or why there is none."""
    if not np.isfinite(differences).all():
        return Undefined("a run has no defined validation SRCC", runs)
    gain = statistics.paired_t(differences)
    values, parts = (gain.delta, gain.low, gain.high), ("mean", "low", "high")
    if not np.isfinite(values).all():
        return Undefined(gain.why.rstrip("."), runs)  # a sentence, which ends in the period of the one around it
    return Number(values, "{0:+.4f} [{1:+.4f}, {2:+.4f}]", runs, "gain at the last rate minus the first", parts)


def _validation(evidence: Evidence, arm: str) -> float:
    return float(np.mean(_values(evidence.runs("finetune", arm))))


def _values(rows: Sequence[Row]) -> list[float]:
    return by_seed([row.metrics.get(KEY, float("nan")) for row in rows], rows)
