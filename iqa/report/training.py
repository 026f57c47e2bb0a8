"""Training as it went: curves and tables of epochs."""

from collections.abc import Sequence

from iqa.report.document import Cell, Paragraph, Section, Table, Text, say, slug
from iqa.report.evidence import Evidence, Row, by_seed, count, mean, spread, tested
from iqa.report.figures import finetuning, finite, over, pretraining

PRETRAIN = {
    "train/loss": "Total loss",
    "train/consistency": "Consistency",
    "train/ranking": "Ranking",
    "val/ordering": "Ordering",
}


def training(evidence: Evidence) -> Section:
    """Curves and tables of epochs, by stage and arm."""
    parts = []
    if evidence.pretrained:
        tables = [epochs(evidence, "pretrain", arm, PRETRAIN) for arm in evidence.pretrained]
        parts.append(Section("Pretraining stage", (pretraining(evidence), *tables)))
    own = evidence.own
    keys = {
        "train/loss": "Train loss",
        "train/srcc": "Train SRCC",
        "val/srcc": "Val. SRCC",
        tested(own, "epoch_srcc"): "Test SRCC",
        tested(own, "epoch_plcc"): "Test PLCC",
    }
    tables = [epochs(evidence, "finetune", arm, keys) for arm in evidence.arms]
    parts.append(Section("Fine-tuning stage", (*crops(evidence), finetuning(evidence), *tables, selected(evidence))))
    return Section("Training curves", (), tuple(parts))


def epochs(evidence: Evidence, stage: str, arm: str, keys: dict[str, str]) -> Table:
    """A row for each epoch, mean over the runs that reached it."""
    rows = evidence.runs(stage, arm)
    histories = {key: [(row, dict(finite(evidence.history(row.run_id, key)))) for row in rows] for key in keys}
    steps = sorted({step for lines in histories.values() for _, line in lines for step in line})
    what = "seeds" if over(evidence, stage) == "seeds" else "runs"
    lines = tuple(
        (_epoch(rows, histories, step, what), *(_at(histories[key], key, step) for key in keys)) for step in steps
    )
    if not lines:
        hole: Cell = tuple(evidence.missing(stage, arm)[:1]) or say("the runs left no epochs")
        lines = ((say("all"), *(hole for _ in keys)),)
    of = f", mean over {len(rows)} {what}" if len(rows) > 1 else ""
    caption = say(Text(evidence.title(arm), strong=True), f": {stage} per epoch{of}.")
    return Table(f"epochs-{stage}-{slug(arm)}", caption, ("Epoch", *keys.values()), lines, fold=len(lines) > 12)


def crops(evidence: Evidence) -> tuple[Paragraph, ...]:
    """What an epoch's values see of an image, where that is less than what the results see."""
    rows = [row for arm in evidence.arms for row in evidence.runs("finetune", arm)]
    seen = {(int(row.params.get("crops.validation", 0)), int(row.params.get("crops.grid", 0)) ** 2) for row in rows}
    if len(seen) != 1 or len(set(*seen)) == 1:
        return ()
    ((few, many),) = seen
    told = Text(f"{few} crop{'s' * (few > 1)} of an image, the results on {many}", tuple(row.run_id for row in rows))
    why = ": an epoch's value differs from the result of the same weights."
    return (Paragraph(say("Validation and test values of an epoch rest on ", told, why)),)


def selected(evidence: Evidence) -> Table:
    """Which epoch validation chose, with what it saw there."""
    keys = {"best/epoch": 1, "best/val_srcc": 4, "best/val_plcc": 4, "final/val_srcc": 4}
    rows = tuple(
        (
            say(evidence.title(arm)),
            *(mean(evidence, "finetune", arm, key, digits) for key, digits in keys.items()),
            count(evidence, "finetune", arm),
        )
        for arm in evidence.arms
    )
    columns = ("Model", "Best epoch", "Val. SRCC there", "Val. PLCC there", "Val. SRCC at the end", "Seeds")
    return Table(
        "selected", say("The epoch that validation SRCC selected; mean ± std over seeds."), columns, rows, stack=True
    )


def _epoch(rows: Sequence[Row], histories: dict[str, list[tuple[Row, dict[int, float]]]], step: int, what: str) -> Cell:
    """The epoch's number, and how many runs reached it where not all did; what: "seeds", say."""
    there = {row.run_id for lines in histories.values() for row, line in lines if step in line}
    return say(str(step)) if len(there) == len(rows) else say(f"{step} ({len(there)} of {len(rows)} {what})")


def _at(lines: Sequence[tuple[Row, dict[int, float]]], key: str, step: int) -> Cell:
    found = [(row, line[step]) for row, line in lines if step in line]
    if not found:
        return say("–")
    rows = [row for row, _ in found]
    return (spread(by_seed([value for _, value in found], rows), rows, f"{key} at epoch {step}"),)
