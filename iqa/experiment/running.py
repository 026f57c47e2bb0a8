"""The steps of an experiment: each arm's cells one after the other, finished ones reused, the others computed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from iqa import checkpoint, tracking
from iqa.experiment import cells
from iqa.experiment.cells import Cell, Result, Show
from iqa.experiment.hands import Alone, Hands, Team
from iqa.experiment.matrix import Plan, asked, corners, fits, patterns

logger = logging.getLogger("iqa")
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
        """Whether a finished one is computed again; of one that this command leaves alone, the finished run counts."""
        return bool(self.force) and matches(cell, self.force) and self.may(cell)


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


def found(plan: Plan, say: Callable[[str], None], choice: Choice, runs: tracking.Snapshot | None = None) -> Outcome:
    """Which cells are finished, now or among `runs`; nothing is computed."""
    if runs is None:
        cells.data.cache_clear()
    outcome = Outcome(runs=runs or tracking.Snapshot())
    with hired(1, None, lambda *_: None, outcome) as hands:
        return steps(plan, outcome, lambda cell: settle(cell, outcome, say, choice) or True, hands)


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
    tags = {"arm": arm, "seed": str(seed), "preset": plan.preset, "experiment": plan.experiment.name}
    tags |= {"experiment.hash": plan.experiment.declaration} | ({"fold": fold} if fold else {})

    def keyed(stage: str, config: Any) -> Cell:
        return cells.cell(stage, config, tags, outcome.runs.resolve)

    encoder, before = "", ""
    pretraining = plan.pretraining(arm, seed, fold)
    if pretraining is not None:
        cell = keyed("pretrain", pretraining)
        yield cell
        if cell.key not in outcome.done:
            return
        encoder, before = f"runs:/{outcome.done[cell.key].run_id}/encoder", cell.title
    tuning = after(before, outcome, lambda: keyed("finetune", plan.finetuning(arm, seed, encoder, fold)))
    if tuning is None:
        return
    yield tuning
    if tuning.key in outcome.done and fold == plan.experiment.parts[0]:
        model = f"runs:/{outcome.done[tuning.key].run_id}/model"
        last = after(tuning.title, outcome, lambda: keyed("evaluate", plan.evaluation(model)))
        if last is not None:
            yield last


def after(title: str, outcome: Outcome, keyed: Callable[[], Cell]) -> Cell | None:
    """A cell that takes what the cell `title` left; None where that is gone or damaged, which stops no other cell."""
    try:
        return keyed()
    except (tracking.StoreError, checkpoint.CheckpointError) as error:
        if not title or isinstance(error, tracking.StillAway):
            raise
        outcome.failed.append(f"{title}: what it left cannot be used, --force='{title}' computes it again: {error}")
        logger.error("%s", outcome.failed[-1])
        return None


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
