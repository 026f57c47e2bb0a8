"""The analysis: the declared claims decided, hypotheses with their evidence, conclusions; all by rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iqa import statistics
from iqa.report.beside import beside
from iqa.report.claims import MEANING, Comparison, compared, delta_srcc
from iqa.report.document import Block, Cell, Number, Paragraph, Section, Table, Text, say, slug
from iqa.report.domains import domains
from iqa.report.evidence import Evidence, by_seed, mean, spread, tested
from iqa.report.verdicts import Verdict, borrowed

ADVICE = {
    "✓": "use the pretrained encoder where this claim is what matters",
    "✓ small": "the gain is real but small: weigh it against the hours of pretraining",
    "✗": "do not pretrain this way for this purpose",
    "≈": "pretraining makes no difference that matters here: save its hours",
    "?": "undecided: more seed pairs or larger test sets are needed before any advice",
}


def analysis(evidence: Evidence, verdicts: Sequence[Verdict], comparisons: Sequence[Comparison]) -> Section:
    """Does pretraining help, and why (or why not)?"""
    parts = [Section("Does it help? The claims", (*_claims(evidence, verdicts), *beside(evidence, comparisons)))]
    parts.append(Section("Why does it work (or not)?", (why(evidence, comparisons),)))
    return Section("Analysis", (), tuple(parts))


def _claims(evidence: Evidence, verdicts: Sequence[Verdict]) -> tuple[Block, ...]:
    if not verdicts:
        return (Paragraph(say("This experiment declares no claims, so none is marked.")),)
    declaration = str(evidence.experiment.get("declaration", ""))[:12]
    caption = say(
        *_declared(evidence, declaration, verdicts[0].void),
        " p: the largest of the claim's parts; adjusted by Holm over all claims. Marks: ✓ better, ✓ small better by "
        f"less than {statistics.SMALL_BELOW:g}, ✗ worse, ≈ equal within the margin, ? undecided.",
    )
    rows = tuple(_row(number, one) for number, one in enumerate(verdicts, start=1))
    table = Table("claims", caption, ("Claim", "Mark", "p", "p adjusted", "Evidence"), rows, stack=True)
    notes = [
        Paragraph(say(f"{number}. ", *extra), "item") for number, one in enumerate(verdicts, 1) for extra in one.extra
    ]
    void = [Paragraph(say(Text(verdicts[0].void, strong=True), "."))] if verdicts[0].void else []
    return (table, *void, *notes)


def _declared(evidence: Evidence, declaration: str, void: str) -> Cell:
    """When the claims were declared, as far as the runs tell: those of another experiment came first, perhaps."""
    found = borrowed(evidence)
    if not found and not void:
        return say("Claims declared before the first result (declaration ", Text(declaration, code=True), ").")
    head = say("Claims of the declaration ", Text(declaration, code=True), ".")
    if not found:
        return head
    names = ", ".join(sorted({str(row.tags.get("experiment", "")) for row in found}))
    runs = Text(f"{len(found)} runs", tuple(row.run_id for row in found))
    told = f" were made for another experiment ({names}) and are reused: they do not tell which came first."
    return say(*head, " ", runs, told)


def _row(number: int, one: Verdict) -> tuple[Cell, ...]:
    head = (say(f"{number}. {one.title}"), say(Text(one.mark, strong=True)))
    if one.hole is not None:
        return (*head, say("–"), say("–"), (one.hole,))
    return (*head, _p(one.p, one, "unadjusted"), _p(one.adjusted, one, "adjusted by Holm"), one.words)


def _p(value: float, one: Verdict, what: str) -> Cell:
    if not np.isfinite(value):
        return say("–")
    return (Number((value,), "{0:.3f}" if value >= 0.001 else "{0:.1e}", one.runs, f"p of '{one.title}', {what}"),)


def why(evidence: Evidence, comparisons: Sequence[Comparison]) -> Table:
    """Each hypothesis of the original experiment beside the numbers that speak for or against it."""
    rows = [
        (say("Quality-aware representations"), say("probes of the frozen encoders"), _probes(evidence)),
        (say("Domain mismatch"), say("gain on degraded sets against the others"), domains(evidence, comparisons)),
        (say("Better (or worse) initialisation"), say("validation SRCC after epoch 1"), _first_epoch(evidence)),
        (say("Insufficient pretraining epochs"), say("slope between the two largest numbers"), _slope(evidence)),
        (say("The loss needs tuning"), say("ablation of the loss, study of its weights"), _elsewhere(evidence)),
        (say("The encoder's rate"), say("interaction of the gain with the rate"), _rate(evidence)),
    ]
    caption = say("The original experiment's hypotheses, and the evidence that this experiment has for each.")
    return Table("hypotheses", caption, ("Hypothesis", "Looked at", "Evidence"), tuple(rows), stack=True)


def _probes(evidence: Evidence) -> Cell:
    cells: list = []
    for arm in evidence.arms:
        value = mean(evidence, "finetune", arm, "probe/100/srcc")
        cells += ["; " if cells else "", f"{evidence.title(arm)} ", *value]
    return say(*cells)


def _first_epoch(evidence: Evidence) -> Cell:
    cells: list = []
    for arm in evidence.arms:
        rows = evidence.runs("finetune", arm)
        firsts = [dict(evidence.history(row.run_id, "val/srcc")).get(1, float("nan")) for row in rows]
        kept = [(value, row) for value, row in zip(firsts, rows, strict=True) if np.isfinite(value)]
        shown: Cell = tuple(evidence.missing("finetune", arm)[:1]) or say("undefined")
        if kept:
            values, runs = zip(*kept, strict=True)
            shown = (spread(by_seed(values, runs), runs, "val/srcc after epoch 1"),)
        cells += ["; " if cells else "", f"{evidence.title(arm)} ", *shown]
    return say(*cells)


def _rate(evidence: Evidence) -> Cell:
    if evidence.experiment.get("groups"):
        return say("see the choice of the encoder rate, above")
    return say("one rate here; ", Text("mlflow run . -P preset=paper", code=True), " has the grid")


def _slope(evidence: Evidence) -> Cell:
    """ΔSRCC from the second largest to the largest number of pretraining epochs that the ablations tried."""
    for one, told in _tables(evidence):
        arms = {int(row["label"]): row["arm"] for row in told["rows"] if row["label"].isdecimal()}
        if len(arms) == len(told["rows"]) > 1:
            (fewer, baseline), (more, treatment) = sorted(arms.items())[-2:]
            found = compared(one, "epochs", treatment, baseline, one.own, "own")
            return say(f"{fewer} to {more} epochs: ΔSRCC on {one.own} ", found.hole or delta_srcc(found))
    return _elsewhere(evidence)


def _elsewhere(evidence: Evidence) -> Cell:
    if _tables(evidence):
        return say("see the ablation studies, below")
    return say("not part of this experiment; ", *_ablate(evidence))


def _ablate(evidence: Evidence) -> Cell:
    """The command of the ablations, which are an experiment of their own: it fills no place of another's report."""
    preset = evidence.experiment.get("preset", "demo")
    return say(Text(f"mlflow run . -e ablate -P preset={preset}", code=True), " has them in a report of its own")


def _tables(evidence: Evidence) -> list[tuple[Evidence, Mapping[str, Any]]]:
    """The tables of ablations that this report shows, each with the experiment that declares it."""
    return [(one, told) for one in evidence.with_shown for told in one.experiment.get("ablations", ())]


def ablations(evidence: Evidence) -> Section:
    """The original experiment's three tables: means and spreads without marks; or the command that makes them."""
    parts = [_ablation(*table) for table in _tables(evidence)]
    if not parts:
        words = say("Pretraining epochs, degradations and loss: ", *_ablate(evidence), ".")
        return Section("Ablation studies", (Paragraph(words),))
    return Section("Ablation studies", (), tuple(parts))


def _ablation(evidence: Evidence, told: Mapping[str, Any]) -> Section:
    own = evidence.own
    rows = tuple(
        (
            say(row["label"]),
            *(mean(evidence, "finetune", row["arm"], tested(own, key)) for key in ("srcc", "plcc")),
            mean(evidence, "pretrain", row["arm"], "cost/hours") if row["arm"] in evidence.pretrained else say("–"),
            say(row.get("note", "") or "–"),
        )
        for row in told["rows"]
    )
    caption = say(f"Test part of {own}, mean ± std over seeds, all at one encoder rate; a comparison without marks.")
    columns = (told["what"], "SRCC", "PLCC", "Pretraining time", "Notes")
    return Section(told["title"], (Table(f"ablation-{slug(told['what'])}", caption, columns, rows, stack=True),))


def conclusions(evidence: Evidence, verdicts: Sequence[Verdict]) -> Section:
    """A finding and an advice for each claim, from its mark."""
    if not verdicts:
        return Section("Conclusions", (Paragraph(say("Without claims there is nothing to conclude.")),))
    findings = tuple(Paragraph(_finding(number, one), "item") for number, one in enumerate(verdicts, start=1))
    advice = tuple(
        Paragraph(say(f"{number}. {one.title}: {ADVICE[one.mark]}."), "item") for number, one in enumerate(verdicts, 1)
    )
    further = [
        "longer pretraining and single degradations: the ablations above",
        "more degradations: families= takes any of the families that the documentation lists",
        "other backbones: encoder= takes any model with four stages at strides 4, 8, 16, 32",
        "other data for pretraining: pretrain.data= and pretrain.data_root=",
        "loss weights and margins: the study loss_weights",
    ]
    work = tuple(Paragraph(say(text), "item") for text in further)
    bias = (
        (Paragraph(say(str(evidence.experiment["demonstration"]))),) if evidence.experiment.get("demonstration") else ()
    )
    parts = (
        Section("Key findings", (*bias, *findings)),
        Section("Recommendations", (*bias, *advice)),
        Section("Future work", work),
    )
    return Section("Conclusions", (), parts)


def _finding(number: int, one: Verdict) -> Cell:
    if one.hole is not None:
        return say(f"{number}. {one.title}: ? undecided; ", one.hole)
    return say(f"{number}. {one.title}: {one.mark} {MEANING[one.mark]}. ", *one.words)
