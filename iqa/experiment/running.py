"""The experiment itself: its steps as nested runs, finished ones reused, then the parent's numbers and the report."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from iqa import instants, report, tracking
from iqa.experiment import cells
from iqa.experiment.cells import Cell, Result, Show
from iqa.experiment.matrix import Plan
from iqa.experiment.telling import describe

logger = logging.getLogger("iqa")
REPORTS = Path("reports")
FAULTS = (ValueError, RuntimeError, OSError)  # what one cell may fail with and leave the others to go on


@dataclass(frozen=True)
class Choice:
    """Which cells this command may compute, which it computes again, and whether a code change matters.

    only, force: patterns of cell titles, separated by commas ("pretrained *", "* finetune seed 0*"); "" = all, none.
    """

    only: str = ""
    force: str = ""
    accept_code: bool = False

    def may(self, cell: Cell) -> bool:
        return not self.only or matches(cell, self.only)

    def again(self, cell: Cell) -> bool:
        return bool(self.force) and matches(cell, self.force)


class Incomplete(ValueError):
    """Cells failed: the parent run says which, and ends as its command does."""


@dataclass
class Outcome:
    """What became of the steps.

    done: cell key → its run; placed: title of every place in the matrix → cell key (arms may share a cell);
    failed: the sentences of those that failed; waiting: titles that another cell has to come before.
    """

    done: dict[str, Result] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    placed: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def run(
    plan: Plan, *, command: str, show: Show, say: Callable[[str], None], choice: Choice | None = None
) -> tuple[report.Report, Outcome]:
    """Run (or continue, or reuse) everything that the plan asks for, and write its report."""
    chosen = choice or Choice()

    def settled(cell: Cell, parent: str, outcome: Outcome) -> None:
        if not settle(cell, outcome, say, chosen) and chosen.may(cell):
            attempt(cell, parent, outcome, show)

    return under(plan, "experiment", command, settled)


def part(plan: Plan, *, show: Show, say: Callable[[str], None], choice: Choice) -> Outcome:
    """Compute the cells that `choice.only` names, without a report: one job of an array.

    Without a parent run too: many such commands run at once, and a parent's folder belongs to one.
    """

    def settled(cell: Cell, outcome: Outcome) -> None:
        if not settle(cell, outcome, say, choice) and choice.may(cell):
            attempt(cell, None, outcome, show)

    outcome = steps(plan, settled)
    titles = [place.title for place in places(plan)]
    wanted = [title for title in titles if any(fnmatchcase(title, one) for one in patterns(choice.only))]
    if not wanted:
        raise ValueError(f"--only={choice.only} names no cell: there are {', '.join(titles[:6])}, …")
    outcome.waiting = [title for title in wanted if title not in outcome.placed]
    return outcome


def rewrite(
    plan: Plan, *, command: str, fills: str, say: Callable[[str], None], choice: Choice | None = None
) -> tuple[report.Report, Outcome]:
    """Write the report from what is finished, and compute nothing."""
    chosen = choice or Choice()
    return under(plan, "report", command, lambda cell, parent, outcome: settle(cell, outcome, say, chosen), fills)


def under(
    plan: Plan, stage: str, command: str, settled: Callable[[Cell, str, Outcome], object], fills: str = ""
) -> tuple[report.Report, Outcome]:
    """Open the parent run, settle each cell, publish; fills: the command that computes what is missing."""
    name = plan.experiment.name
    folder = tracking.runs_folder() / f"{stage}-{identity(plan)[:12]}"
    tags = {"stage": stage, "preset": plan.preset, "experiment": name, "iqa.command": command}
    params = {"experiment": name, "preset": plan.preset, "seeds": ",".join(map(str, plan.experiment.seeds))}
    title = plan.experiment.title
    opened = tracking.open_run(stage, folder, name=name, params=params, tags=tags, description=title, reopen=True)
    with suppress(Incomplete), opened as parent:
        outcome = steps(plan, lambda cell, outcome: settled(cell, parent.run_id, outcome))
        written = publish(plan, outcome, parent, fills or command)
        if outcome.failed:
            raise Incomplete(f"Cells failed, and the same command tries them again: {'; '.join(outcome.failed)}")
    return written, outcome


def identity(plan: Plan) -> str:
    """Of the whole command: the same one, run again, goes on in the same parent run."""
    content = [plan.experiment.model_dump(mode="json"), plan.preset, plan.overrides]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def report_folder(plan: Plan) -> Path:
    """Where the report of this command lies."""
    return REPORTS / f"{plan.experiment.name}-{identity(plan)[:8]}"


def steps(plan: Plan, settled: Callable[[Cell, Outcome], object]) -> Outcome:
    """Every arm × seed × fold: pretrain (shared by the arms that agree on it), fine-tune, evaluate."""
    outcome = Outcome()
    cells.data_digest.cache_clear()
    for seed, arm, fold in corners(plan):
        for cell in chain(plan, arm, seed, fold, outcome):
            outcome.placed[cell.title] = cell.key
            if cell.key not in outcome.done and cell.key not in {one.key for one in outcome.cells}:
                outcome.cells.append(cell)
                settled(cell, outcome)
    return outcome


def chain(plan: Plan, arm: str, seed: int, fold: str, outcome: Outcome) -> Iterator[Cell]:
    """The cells of one arm, seed and fold, each made when its predecessor's run is known; ends early if that failed.

    Targets are evaluated with the first fold's model: five models on the same images would not be five sets.
    """
    tags = {"arm": arm, "preset": plan.preset, "experiment": plan.experiment.name}
    tags |= {"experiment.hash": plan.experiment.declaration} | ({"fold": fold} if fold else {})
    encoder = ""
    pretraining = plan.pretraining(arm, seed, fold)
    if pretraining is not None:
        cell = cells.cell("pretrain", pretraining, tags)
        yield cell
        if cell.key not in outcome.done:
            return
        encoder = f"runs:/{outcome.done[cell.key].run_id}/encoder"
    tuning = cells.cell("finetune", plan.finetuning(arm, seed, encoder, fold), tags)
    yield tuning
    if tuning.key in outcome.done and fold == plan.experiment.parts[0]:
        model = f"runs:/{outcome.done[tuning.key].run_id}/model"
        yield cells.cell("evaluate", plan.evaluation(model), tags | {"seed": str(seed)})


class Place(NamedTuple):
    """Where a cell stands in the matrix; fold is "" where there are none."""

    stage: str
    arm: str
    seed: int
    fold: str

    @property
    def title(self) -> str:
        return report.titled(*self)


def places(plan: Plan) -> Iterator[Place]:
    """Every place in the matrix, in the order of `steps`."""
    for seed, arm, fold in corners(plan):
        stages = ["pretrain"] * (plan.experiment.arms[arm].pretrain is not None) + ["finetune"]
        stages += ["evaluate"] * (fold == plan.experiment.parts[0])
        yield from (Place(stage, arm, seed, fold) for stage in stages)


def corners(plan: Plan) -> Iterator[tuple[int, str, str]]:
    """Seeds × arms × folds."""
    return product(plan.experiment.seeds, plan.experiment.arms, plan.experiment.parts)


def patterns(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def matches(cell: Cell, text: str) -> bool:
    """Whether a cell's title is one of the patterns; "all" is every cell."""
    return any(one == "all" or fnmatchcase(cell.title, one) for one in patterns(text))


def settle(cell: Cell, outcome: Outcome, say: Callable[[str], None], choice: Choice) -> bool:
    """Reuse the finished run of a cell, if there is one and it is not to be computed again."""
    found = None if choice.again(cell) else cells.finished(cell, choice.accept_code)
    if found is not None:
        by = ", made by other code" if found.other_code else ""
        say(f"{cell.title}: finished already, reused (run {found.run_id}{by})")
        outcome.done[cell.key] = found
    return found is not None


def attempt(cell: Cell, parent: str | None, outcome: Outcome, show: Show) -> None:
    """Compute a cell; a failure is written down and stays this cell's own."""
    tracking.stop_if_asked()
    try:
        outcome.done[cell.key] = cells.compute(cell, parent=parent, show=show)
        instants.reached("between-stages")
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
        report_folder(plan),
    )
    parent.metrics(written.metrics, parent.openings)
    parent.note(written.markdown_summary)
    parent.artifact(written.folder, "report")
    return written


def check(plan: Plan) -> list[str]:
    """A sentence for every number of the experiment's report that its runs do not give any more."""
    return report.check(report_folder(plan), tracking.rows(), tracking.history, tracking.fetch)


def bundle(plan: Plan, target: Path) -> Path:
    """The evidence of the experiment's written report as a zip."""
    return report.pack(report_folder(plan), tracking.rows(), tracking.history, tracking.fetch, target)
