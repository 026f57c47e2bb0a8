"""The experiment itself: its steps as nested runs, finished ones reused, then the parent's numbers and the report."""

import hashlib
import json
import logging
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iqa import report, tracking
from iqa.experiment import cells
from iqa.experiment.cells import Cell, Result, Show
from iqa.experiment.hands import Alone, Hands, Team
from iqa.experiment.matrix import Plan, asked, corners, fits, patterns
from iqa.experiment.searched import searched
from iqa.experiment.telling import describe

logger = logging.getLogger("iqa")
REPORTS = Path("reports")
DONE = object()


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

    done: cell key → its run; begun: cell key → cell; placed: title of every place in the matrix → cell key (arms may
    share a cell); failed: the sentences of those that failed; waiting: titles that another cell has to come before;
    runs: what the store had when the steps began.
    """

    done: dict[str, Result] = field(default_factory=dict)
    begun: dict[str, Cell] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    runs: tracking.Snapshot = field(default_factory=lambda: tracking.Snapshot(still=False))

    @property
    def cells(self) -> list[Cell]:
        """Those that were begun, reused or left out already."""
        return list(self.begun.values())

    def knows(self, cell: Cell) -> bool:
        """Whether it is one of `cells`."""
        return cell.key in self.begun


def run(
    plan: Plan,
    *,
    command: str,
    show: Show,
    say: Callable[[str], None],
    choice: Choice | None = None,
    at_once: int = 1,
    ready: Callable[[], None] = lambda: None,
) -> tuple[report.Report, Outcome]:
    """Run (or continue, or reuse) everything that the plan asks for, and write its report.

    at_once: cells that are computed side by side, each in a process of its own, in which `ready` is called first.
    """
    chosen = choice or Choice()

    def computed(parent: str) -> Outcome:
        cells.data.cache_clear()
        outcome = Outcome()
        with hired(at_once, parent, show, outcome, ready) as hands:
            return steps(plan, outcome, lambda cell: settled(cell, outcome, say, chosen), hands)

    return under(plan, "experiment", command, computed)


def part(plan: Plan, *, show: Show, say: Callable[[str], None], choice: Choice) -> Outcome:
    """Compute the cells that `choice.only` names, without a report: one job of an array.

    Without a parent run too: many such commands run at once, and a parent's folder belongs to one.
    """
    cells.data.cache_clear()
    outcome = Outcome()
    with hired(1, None, show, outcome) as hands:
        steps(plan, outcome, lambda cell: settled(cell, outcome, say, choice), hands)
    outcome.waiting = [place.title for place in asked(plan, choice.only) if place.title not in outcome.placed]
    return outcome


def rewrite(
    plan: Plan, *, command: str, fills: str, say: Callable[[str], None], choice: Choice | None = None
) -> tuple[report.Report, Outcome]:
    """Write the report from what is finished, and compute nothing."""
    chosen = choice or Choice()
    return under(plan, "report", command, lambda parent: found(plan, say, chosen), fills)


def found(plan: Plan, say: Callable[[str], None], choice: Choice, runs: tracking.Snapshot | None = None) -> Outcome:
    """Which cells are finished, now or among `runs`; nothing is computed."""
    if runs is None:
        cells.data.cache_clear()
    outcome = Outcome(runs=runs or tracking.Snapshot())
    with hired(1, None, lambda *_: None, outcome) as hands:
        return steps(plan, outcome, lambda cell: settle(cell, outcome, say, choice) or True, hands)


def under(
    plan: Plan, stage: str, command: str, computed: Callable[[str], Outcome], fills: str = ""
) -> tuple[report.Report, Outcome]:
    """Open the parent run, settle the cells, publish; fills: the command that computes what is missing."""
    name = plan.experiment.name
    folder = tracking.runs_folder() / f"{stage}-{identity(plan)[:12]}"
    tags = {"stage": stage, "preset": plan.preset, "experiment": name, "iqa.command": command}
    params = {"experiment": name, "preset": plan.preset, "seeds": ",".join(map(str, plan.experiment.seeds))}
    title = plan.experiment.title
    opened = tracking.open_run(stage, folder, name=name, params=params, tags=tags, description=title, reopen=True)
    with suppress(Incomplete), opened as parent:
        outcome = computed(parent.run_id)
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


def steps(plan: Plan, outcome: Outcome, settled: Callable[[Cell], bool], hands: Hands) -> Outcome:
    """Every arm × seed × fold: pretrain (shared by the arms that agree on it), fine-tune, evaluate.

    settled: whether nothing is to be computed for a cell; the hands compute the others, and wait for each other.
    """
    going = [pursued(plan, corner, outcome, settled, hands) for corner in corners(plan)]
    while going:
        going = [one for one in going if next(one, DONE) is not DONE]
        hands.wait()
    return outcome


def pursued(
    plan: Plan, corner: tuple[int, str, str], outcome: Outcome, settled: Callable[[Cell], bool], hands: Hands
) -> Iterator[None]:
    """Have a corner's cells computed one after the other; yields as long as one has to wait."""
    seed, arm, fold = corner
    for cell in chain(plan, arm, seed, fold, outcome):
        outcome.placed[cell.title] = cell.key
        if not outcome.knows(cell) and settled(cell):
            outcome.begun[cell.key] = cell
        while not outcome.knows(cell) and not hands.free():
            yield
        if not outcome.knows(cell):  # while this one waited, a corner that shares it may have begun it
            outcome.begun[cell.key] = cell
            hands.begin(cell)
        while hands.works_at(cell):
            yield


@contextmanager
def hired(
    count: int, parent: str | None, show: Show, outcome: Outcome, ready: Callable[[], None] = lambda: None
) -> Iterator[Hands]:
    """Who computes, and writes down what became of each cell; a failure stays the cell's own."""

    def ended(cell: Cell, what: Result | str) -> None:
        if isinstance(what, Result):
            outcome.done[cell.key] = what
        else:
            outcome.failed.append(f"{cell.title}: {what}")
            logger.error("%s failed: %s", cell.title, what)

    if count == 1:
        yield Alone(parent, show, ended)
    else:
        with Team(count, parent, show, ended, ready) as team:
            yield team


def chain(plan: Plan, arm: str, seed: int, fold: str, outcome: Outcome) -> Iterator[Cell]:
    """The cells of one arm, seed and fold, each made when its predecessor's run is known; ends early if that failed.

    Targets are evaluated with the first fold's model: five models on the same images would not be five sets.
    """
    tags = {"arm": arm, "preset": plan.preset, "experiment": plan.experiment.name}
    tags |= {"experiment.hash": plan.experiment.declaration} | ({"fold": fold} if fold else {})
    encoder = ""
    pretraining = plan.pretraining(arm, seed, fold)
    if pretraining is not None:
        cell = cells.cell("pretrain", pretraining, tags, outcome.runs.resolve)
        yield cell
        if cell.key not in outcome.done:
            return
        encoder = f"runs:/{outcome.done[cell.key].run_id}/encoder"
    tuning = cells.cell("finetune", plan.finetuning(arm, seed, encoder, fold), tags, outcome.runs.resolve)
    yield tuning
    if tuning.key in outcome.done and fold == plan.experiment.parts[0]:
        model = f"runs:/{outcome.done[tuning.key].run_id}/model"
        yield cells.cell("evaluate", plan.evaluation(model), tags | {"seed": str(seed)}, outcome.runs.resolve)


def matches(cell: Cell, text: str) -> bool:
    """Whether a cell's title is one of the patterns; "all" is every cell."""
    return "all" in patterns(text) or fits(cell.title, text)


def settled(cell: Cell, outcome: Outcome, say: Callable[[str], None], choice: Choice) -> bool:
    """Whether nothing is to be computed for a cell: it is reused, or not chosen."""
    return settle(cell, outcome, say, choice) or not choice.may(cell)


def settle(cell: Cell, outcome: Outcome, say: Callable[[str], None], choice: Choice) -> bool:
    """Reuse the finished run of a cell, if there is one and it is not to be computed again."""
    found = None if choice.again(cell) else cells.finished(cell, choice.accept_code, outcome.runs)
    if found is not None:
        by = ", made by other code" if found.other_code else ""
        say(f"{cell.title}: finished already, reused (run {found.run_id}{by})")
        outcome.done[cell.key] = found
    return found is not None


def publish(plan: Plan, outcome: Outcome, parent: Any, command: str) -> report.Report:
    """The parent's headline numbers, description and report, from the finished runs."""
    now = outcome.runs if outcome.runs.still else tracking.Snapshot()
    others = [(other, found(other, lambda line: None, Choice(), now)) for other in plan.shown]
    described = describe(plan, outcome, command)
    studies = searched(plan, described["runs"], now.rows)
    ids = {result.run_id for one in (outcome, *(other for _, other in others)) for result in one.done.values()}
    ids |= {study["run"] for behind in studies.values() for study in behind}
    keys = {cell.key for cell in outcome.cells}
    failed = {"FAILED", "KILLED"}
    rows = [row for row in now.rows if row.run_id in ids or (row.tags.get("cell") in keys and row.status in failed)]
    kept = tracking.Snapshot(rows)
    written = report.build(
        rows,
        kept.history,
        kept.fetch,
        described | {"shown": [describe(*one, told(command, one[0])) for one in others], "studies": studies},
        kept.url,
        report_folder(plan),
    )
    parent.metrics(written.metrics, parent.openings)
    parent.note(written.markdown_summary)
    parent.artifact(written.folder, "report")
    return written


def told(command: str, other: Plan) -> str:
    """The same command for another experiment."""
    words = [word for word in shlex.split(command) if not word.startswith("--experiment")]
    return shlex.join([*words, f"--experiment={other.experiment.name}"])


def check(plan: Plan) -> list[str]:
    """A sentence for every number, page and table of the experiment's report that its runs do not give any more."""
    runs = tracking.Snapshot()
    return report.check(report_folder(plan), runs.rows, runs.history, runs.fetch, runs.url)


def bundle(plan: Plan, target: Path) -> Path:
    """The evidence of the experiment's written report as a zip."""
    runs = tracking.Snapshot()
    return report.pack(report_folder(plan), runs.rows, runs.history, runs.fetch, target)
