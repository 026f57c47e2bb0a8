"""The experiment itself: its steps as nested runs, finished ones reused, then the parent's numbers and the report."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iqa import datasets, report, tracking
from iqa.experiment import cells
from iqa.experiment.cells import Cell, Result, Show
from iqa.experiment.matrix import Plan

logger = logging.getLogger("iqa")
REPORTS = Path("reports")
FAULTS = (ValueError, RuntimeError, OSError)  # what one cell may fail with and leave the others to go on


@dataclass
class Outcome:
    """What became of the steps: finished ones (their cells and runs), and the sentences of those that failed."""

    done: dict[str, Result] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def run(plan: Plan, *, command: str, show: Show, say: Callable[[str], None]) -> tuple[report.Report, Outcome]:
    """Run (or continue, or reuse) everything that the plan asks for, and write its report."""

    def settled(cell: Cell, parent: str, outcome: Outcome) -> None:
        if not settle(cell, outcome, say):
            attempt(cell, parent, outcome, show)

    return under(plan, "experiment", command, settled)


def rewrite(plan: Plan, *, command: str, say: Callable[[str], None]) -> tuple[report.Report, Outcome]:
    """Write the report from what is finished, and compute nothing."""
    return under(plan, "report", command, lambda cell, parent, outcome: settle(cell, outcome, say))


def under(plan: Plan, stage: str, command: str, settled: Callable[[Cell, str, Outcome], object]) -> Any:
    """Open the parent run, settle each cell, publish."""
    name = plan.experiment.name
    folder = cells.runs_folder() / f"{stage}-{identity(plan)[:12]}"
    tags = {"stage": stage, "preset": plan.preset, "experiment": name, "iqa.command": command}
    params = {"experiment": name, "preset": plan.preset, "seeds": ",".join(map(str, plan.experiment.seeds))}
    title = plan.experiment.title
    with tracking.open_run(
        stage, folder, name=name, params=params, tags=tags, description=title, reopen=True
    ) as parent:
        outcome = steps(plan, lambda cell, outcome: settled(cell, parent.run_id, outcome))
        return publish(plan, outcome, parent, command), outcome


def identity(plan: Plan) -> str:
    """Of the whole command: the same one, run again, goes on in the same parent run."""
    content = [plan.experiment.model_dump(mode="json"), plan.preset, plan.overrides]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def steps(plan: Plan, settled: Callable[[Cell, Outcome], object]) -> Outcome:
    """Every arm × seed: pretrain (shared by the arms that agree on it), fine-tune, evaluate."""
    outcome = Outcome()
    for seed in plan.experiment.seeds:
        for arm in plan.experiment.arms:
            for cell in chain(plan, arm, seed, outcome):
                if cell.key not in outcome.done:
                    outcome.cells.append(cell)
                    settled(cell, outcome)
    return outcome


def chain(plan: Plan, arm: str, seed: int, outcome: Outcome) -> Iterator[Cell]:
    """The cells of one arm and seed, each made when its predecessor's run is known; ends early if that failed."""
    encoder = ""
    pretraining = plan.pretraining(arm, seed)
    if pretraining is not None:
        cell = cells.cell("pretrain", pretraining, {"arm": arm, "preset": plan.preset})
        yield cell
        if cell.key not in outcome.done:
            return
        encoder = f"runs:/{outcome.done[cell.key].run_id}/encoder"
    tuning = cells.cell("finetune", plan.finetuning(arm, seed, encoder), {"arm": arm, "preset": plan.preset})
    yield tuning
    if tuning.key in outcome.done:
        model = f"runs:/{outcome.done[tuning.key].run_id}/model"
        tags = {"arm": arm, "preset": plan.preset, "seed": str(seed)}
        yield cells.cell("evaluate", plan.evaluation(model), tags)


def settle(cell: Cell, outcome: Outcome, say: Callable[[str], None]) -> bool:
    """Reuse the finished run of a cell, if there is one."""
    found = cells.finished({cell.key})
    if cell.key in found:
        say(f"{cell.title}: finished already, reused (run {found[cell.key]})")
        outcome.done[cell.key] = Result(found[cell.key], reused=True)
    return cell.key in found


def attempt(cell: Cell, parent: str, outcome: Outcome, show: Show) -> None:
    """Compute a cell; a failure is written down and stays this cell's own."""
    try:
        outcome.done[cell.key] = cells.compute(cell, parent=parent, show=show)
    except FAULTS as error:
        outcome.failed.append(f"{cell.title}: {error}")
        logger.error("%s failed: %s", cell.title, error)


def publish(plan: Plan, outcome: Outcome, parent: Any, command: str) -> report.Report:
    """The parent's headline numbers, description and report, from the finished runs."""
    ids = {result.run_id for result in outcome.done.values()}
    keys = {cell.key for cell in outcome.cells}
    failed = {"FAILED", "KILLED"}
    rows = [
        row for row in tracking.rows() if row.run_id in ids or (row.tags.get("cell") in keys and row.status in failed)
    ]
    written = report.build(
        rows,
        tracking.history,
        tracking.fetch,
        describe(plan, outcome, command),
        tracking.url,
        REPORTS / f"{plan.experiment.name}-{identity(plan)[:8]}",
    )
    parent.metrics(written.metrics, parent.openings)
    parent.note(written.markdown_summary)
    parent.artifact(written.folder, "report")
    if outcome.failed:
        parent.tags({"iqa.failed_cells": "\n".join(outcome.failed)})
    return written


def describe(plan: Plan, outcome: Outcome, command: str) -> dict[str, Any]:
    """What the report is told about the experiment beside its runs."""
    experiment = plan.experiment
    tuning = plan.finetuning(next(iter(experiment.arms)), experiment.seeds[0])
    targets = plan.evaluation("").targets
    return {
        "name": experiment.name,
        "title": experiment.title,
        "preset": plan.preset,
        "command": command,
        "demonstration": experiment.demonstration,
        "arms": {name: {"title": arm.title, "pretrain": arm.pretrain} for name, arm in experiment.arms.items()},
        "seeds": list(experiment.seeds),
        "contrasts": [contrast.model_dump() for contrast in experiment.contrasts],
        "data": datasets.load(tuning.data.name, tuning.data.root).name,  # as in metrics: a folder's own name
        "targets": [datasets.load(name, targets.root).name for name in targets.names],
        "commands": {cell.title: cells.repeat(cell) for cell in outcome.cells},
        "notes": list(experiment.notes),
        "failed": outcome.failed,
    }
