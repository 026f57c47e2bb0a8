"""How many trials of studies stand behind each arm's values: nobody should win by having been searched for longer."""

from collections.abc import Mapping, Sequence
from typing import Any

from iqa.report.document import Cell, Number, Paragraph, Section, Table, Text, Undefined, say
from iqa.report.evidence import Evidence, Row, one

KINDS = ("complete", "pruned", "failed")  # of the metrics trials/KIND of a study's run
BEST = "best/val_srcc"

Study = tuple[Mapping[str, Any], Row]  # what the experiment says of it, and its run


def section(evidence: Evidence) -> list[Section]:
    """A row for each arm; nothing where the experiment was not told of studies (an older bundle)."""
    if "studies" not in evidence.experiment:
        return []
    behind = {arm: _studies(evidence, arm) for arm in evidence.arms}
    caption = say(
        "Trials of the finished studies in this store of which one has the arm's own values in every field that the "
        "study searched; 0 where no study has. A trial's value is a validation SRCC. Values that were rounded or "
        "found elsewhere are not recognised."
    )
    columns = ("Model", "Trials", "Study", "Best validation SRCC", "Arms it was chosen from")
    rows = tuple(_row(evidence, arm, studies) for arm, studies in behind.items())
    table = Table("trials", caption, columns, rows, stack=True)
    return [Section("Trials behind each arm", (table, *_unequal(behind)))]


def _studies(evidence: Evidence, arm: str) -> list[Study]:
    rows = {row.run_id: row for row in evidence.rows}
    return [(told, rows[told["run"]]) for told in evidence.experiment["studies"].get(arm, ()) if told["run"] in rows]


def _row(evidence: Evidence, arm: str, studies: Sequence[Study]) -> tuple[Cell, ...]:
    groups = [group for group in evidence.experiment.get("groups", {}).values() if arm in group["arms"]]
    among = "; ".join(f"{len(group['arms'])} of {group['title']}" for group in groups) or "–"
    head, tail = say(evidence.title(arm)), say(among)
    if not studies:
        ours = tuple(row.run_id for row in evidence.runs("finetune", arm))
        none = Number((0.0,), "{0:.0f}", ours, "trials of studies that have the values of these runs") if ours else None
        return (head, (none,) if none else tuple(evidence.missing("finetune", arm)[:1]), say("–"), say("–"), tail)
    names: list[Text | str] = []
    values: list[Any] = []
    for told, row in studies:
        for_arm = f", searched with {evidence.title(told['arm'])}" if told["arm"] else ""
        which = f" (trial {told['trial']}{', its best' if told['best'] else ''}{for_arm})"
        names += ["; " if names else "", Text(told["study"], (row.run_id,)), which]
        values += ["; " if values else "", one(evidence, row, BEST)]
    return (head, (_count(studies),), say(*names), say(*values), tail)


def _count(studies: Sequence[Study]) -> Number | Undefined:
    """Every trial of the studies, the pruned and the failed included: all were looked at."""
    runs = tuple(row.run_id for _, row in studies)
    if not all(f"trials/{kind}" in row.metrics for _, row in studies for kind in KINDS):
        return Undefined("a study's run does not say how many trials it had", runs)
    return Number((_total(studies),), "{0:.0f}", runs, "trials of studies, complete, pruned and failed")


def _total(studies: Sequence[Study]) -> float:
    return sum(row.metrics.get(f"trials/{kind}", 0.0) for _, row in studies for kind in KINDS)


def _unequal(behind: Mapping[str, Sequence[Study]]) -> list[Paragraph]:
    """The warning that a comparison of unequal budgets needs."""
    if len({_total(studies) for studies in behind.values()}) == 1:
        return []
    words = "The arms were not given the same number of trials: a difference between them may come from the search."
    return [Paragraph(say(Text(words, strong=True)), "note")]
