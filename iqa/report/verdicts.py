"""The claims that an experiment declared, each decided by the rule of its measure, p adjusted by Holm over all."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from iqa import statistics
from iqa.report.choosing import chosen, partner
from iqa.report.claims import MARGINS, Comparison, compared, contrasted, delta_srcc, together
from iqa.report.document import Atom, Cell, Text, say
from iqa.report.epochs import Reached, reached
from iqa.report.evidence import Evidence, Row, duration, mean

SHARES = ("100", "10")  # per cent of the labels that the probes of claim "probe" were fitted with


@dataclass(frozen=True)
class Verdict:
    """A claim with its evidence; hole: what is missing; void: why its mark confirms nothing.

    contrast: the name of the one that it is about; pairs: the seed pairs that all of its parts have.
    """

    title: str
    measure: str
    contrast: str
    parts: tuple[statistics.Part, ...] = ()
    guards: tuple[statistics.Contrast, ...] = ()
    words: Cell = ()
    runs: tuple[str, ...] = ()
    pairs: int = 0
    hole: Atom | None = None
    p: float = math.nan
    adjusted: float = math.nan
    mark: str = statistics.OPEN
    void: str = ""
    extra: tuple[Cell, ...] = ()


def decide(evidence: Evidence) -> list[Verdict]:
    """Every declared claim with its mark. A declaration that changed after results leaves every mark open."""
    declared = {one["name"]: one for one in evidence.experiment.get("contrasts", ())}
    found = [_weighed(evidence, one, declared[one["contrast"]]) for one in evidence.experiment.get("claims", ())]
    ps = [statistics.claim_p(one.parts) if one.parts else math.nan for one in found]
    void, wanted = changed(evidence), len(evidence.seeds)
    return [
        replace(one, p=p, adjusted=adjusted, void=void, mark=_mark(one, adjusted, void, wanted))
        for one, p, adjusted in zip(found, ps, statistics.holm(ps), strict=True)
    ]


def changed(evidence: Evidence) -> str:
    """Why marks are no confirmation: a run of this experiment was made under another declaration; else "".

    Those whose cells are in this report, and those that only the store has: of other seeds, or of arms as they were.
    """
    own = str(evidence.experiment.get("declaration", ""))
    name = evidence.experiment["name"]
    ours = (row for row in evidence.ranked if row.tags.get("experiment") == name)
    others = {row.run_id for row in ours if row.tags.get("experiment.hash", own) != own}
    others |= set(evidence.experiment.get("redeclared", ()))
    if not own or not others:
        return ""
    runs = f"{len(others)} runs were" if len(others) > 1 else "1 run was"
    return (
        f"{runs} made under another declaration of this experiment (arms, seeds, contrasts or claims "
        "changed after results, or seeds were added): the marks are exploratory and stand at ?"
    )


def borrowed(evidence: Evidence) -> list[Row]:
    """Finished runs in this experiment's places that were made for another one, whose results came first perhaps."""
    own = str(evidence.experiment["name"])
    used = {row.run_id: row for row in evidence.cells.values()}
    return [row for row in used.values() if row.tags.get("experiment.hash") and row.tags.get("experiment") != own]


def _mark(one: Verdict, adjusted: float, void: str, wanted: int) -> str:
    """By the rule of `statistics.mark`. A seed that is not finished, or failed, leaves it open: who could look at
    five seeds of eight and stop there would find a ✓ more often than the p says."""
    if one.hole is not None or void or not one.parts or one.pairs < wanted:
        return statistics.OPEN
    return statistics.mark(one.parts, adjusted, one.guards)


def _weighed(evidence: Evidence, claim: Mapping[str, str], contrast: Mapping[str, str]) -> Verdict:
    bare = Verdict(claim["title"], claim["measure"], contrast["name"])
    sides = [chosen(evidence, contrast[side]) for side in ("treatment", "baseline")]
    hole = next((side.hole for side in sides if side.hole is not None), None)
    return replace(bare, hole=hole) if hole else MEASURES[claim["measure"]](evidence, bare, contrast)


def _own(evidence: Evidence, bare: Verdict, contrast: Mapping[str, str]) -> Verdict:
    return _from(evidence, bare, [contrasted(evidence, contrast)[0]], MARGINS["own"])


def _cross(evidence: Evidence, bare: Verdict, contrast: Mapping[str, str]) -> Verdict:
    """The mean over targets; again with the families of groups that pretraining used left out; no set below 0."""
    found = [one for one in contrasted(evidence, contrast) if one.kind == "cross"]
    if not found:
        return replace(bare, hole=Text("the experiment has no target sets"))
    parts = [found[0]]
    families = used(evidence, found[0].treatment)
    if families and found[0].hole is None:
        arms = (contrast["name"], found[0].treatment, found[0].baseline)
        kept = [compared(evidence, *arms, target, "target", families) for target in evidence.targets]
        rest = [one for one in kept if one.hole is None]
        if any(_restricted(evidence, one, families) for one in rest):
            narrowed = together(rest) if len(rest) > 1 else replace(rest[0], kind="cross")
            parts.append(replace(narrowed, dataset=f"{narrowed.dataset}, without the groups used in pretraining"))
    return _from(evidence, bare, parts, MARGINS["cross"], found[0].found.parts if found[0].hole is None else ())


def used(evidence: Evidence, arm: str) -> list[str]:
    """Every family, KADID's others included, of the groups from which the arm's pretraining drew its degradations."""
    from iqa.datasets.kadid import OTHERS
    from iqa.degradations import FAMILIES, expand, group_of

    rows = evidence.runs("pretrain", arm) if arm in evidence.pretrained else []
    told = {name for row in rows for name in str(row.params.get("degrade.families", "")).split(",") if name}
    groups = {group_of(family, OTHERS) for family in expand(tuple(sorted(told)))} if told else set()
    return sorted(name for name in {*FAMILIES, *OTHERS} if group_of(name, OTHERS) in groups)


def _restricted(evidence: Evidence, one: Comparison, families: Sequence[str]) -> bool:
    """Whether leaving the families out leaves anything out of this set."""
    answer = evidence.predictions("evaluate", one.treatment, one.seeds[0], one.dataset)
    return bool(set(getattr(answer, "families", ())) & set(families))


def _probe(evidence: Evidence, bare: Verdict, contrast: Mapping[str, str]) -> Verdict:
    """Ridge on the frozen encoder's pooled features, with all labels and with a tenth of them; both decide."""
    arms = ours, theirs = [chosen(evidence, contrast[side]).arm for side in ("treatment", "baseline")]
    found = [
        replace(
            compared(
                evidence, contrast["name"], ours, theirs, evidence.own, "own", artifact=f"probes/{{}}-{share}.csv"
            ),
            dataset=f"{evidence.own} from {share}% of the labels",
        )
        for share in SHARES
    ]
    weighed = _from(evidence, bare, found, MARGINS["own"])
    pairs = [say(f"{evidence.title(arm)} ", *mean(evidence, "finetune", arm, "probe/ordering", 3)) for arm in arms]
    sentence = say("Ordering accuracy of the probe's score: ", *pairs[0], "; ", *pairs[1], ".")
    return replace(weighed, extra=(sentence,))


def _epochs(evidence: Evidence, bare: Verdict, contrast: Mapping[str, str]) -> Verdict:
    """Epochs to the baseline's mean final validation SRCC less a tolerance, both arms at the baseline's rate."""
    baseline = chosen(evidence, contrast["baseline"]).arm
    treatment = partner(evidence, dict(contrast), baseline) or chosen(evidence, contrast["treatment"]).arm
    found = reached(evidence, treatment, baseline)
    if not isinstance(found, Reached):
        return replace(bare, hole=found)
    pairs = len(found.contrast.per_seed)
    words = say(f"{evidence.title(treatment)} takes ", found.ratio, f" × the epochs of {evidence.title(baseline)}")
    words += say(" to reach a validation SRCC of ", *found.target, _missed(found.missed), _short(evidence, pairs), ".")
    part = statistics.Part(found.contrast, None, None)
    whole = say("Hours, pretraining included: ", *_hours(evidence, treatment), "; ", *_hours(evidence, baseline), ".")
    return replace(bare, parts=(part,), words=words, runs=found.runs, pairs=pairs, extra=(whole,))


def _short(evidence: Evidence, pairs: int) -> str:
    """Why the mark of so many pairs is open, where that is not all of them."""
    wanted = len(evidence.seeds)
    return f"; {wanted - pairs} of {wanted} seeds lack a finished run, so the mark stays ?" if pairs < wanted else ""


def _missed(missed: int) -> str:
    return f" ({missed} run{'s' * (missed > 1)} never reached it: counted as the most allowed)" if missed else ""


def _hours(evidence: Evidence, arm: str) -> Cell:
    """What one seed of an arm costs, from its pretraining to its last epoch."""
    stages = ["pretrain", "finetune"] if arm in evidence.pretrained else ["finetune"]
    rows: list[list[Row]] = [evidence.runs(stage, arm) for stage in stages]
    known = [[row.metrics.get("cost/hours", math.nan) for row in side] for side in rows]
    if any(not side or not all(map(math.isfinite, side)) for side in known):
        return say(f"{evidence.title(arm)} not recorded")
    hours = sum(sum(side) / len(side) for side in known)
    flat = [row for side in rows for row in side]
    number = duration([hours], flat, "mean hours of pretraining and fine-tuning")
    return say(f"{evidence.title(arm)} ", number)


def _from(
    evidence: Evidence,
    bare: Verdict,
    found: Sequence[Comparison],
    margin: float,
    guards: Sequence[statistics.Contrast] = (),
) -> Verdict:
    """A verdict from comparisons that all have to hold."""
    hole = next((one.hole for one in found if one.hole is not None), None)
    if hole is not None:
        return replace(bare, hole=hole)
    parts = tuple(statistics.Part(one.found, margin) for one in found)
    words: list[Atom | str] = []
    for one in found:
        words += ["; " if words else "", f"ΔSRCC on {one.dataset} ", delta_srcc(one)]
    pairs = min(len(one.seeds) for one in found)
    runs = tuple(dict.fromkeys(run for one in found for run in one.runs))
    ending = f", {pairs} seed pair{'s' if pairs != 1 else ''}{_short(evidence, pairs)}."
    return replace(bare, parts=parts, guards=tuple(guards), words=say(*words, ending), runs=runs, pairs=pairs)


MEASURES: dict[str, Callable[[Evidence, Verdict, Mapping[str, str]], Verdict]] = {
    "own": _own,
    "cross": _cross,
    "epochs": _epochs,
    "probe": _probe,
}
