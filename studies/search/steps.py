"""A trial's steps, as runs of their own: finished ones reused, each computed once however many trials share it."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from iqa import experiment, tracking
from iqa.experiment import Cell

from .claims import Claim
from .order import Member, Order

CURVE, BEST = "val/srcc", "best/val_srcc"  # validation, never a test set
GLANCES = (0.5, 5.0)  # seconds between two looks at a step that another trial computes: the first, the longest

Record = dict[str, float]
Records = Generator[Record | None, None, str]  # None: still at it, nothing to report; at the end the run's id


@dataclass(frozen=True)
class Steps:
    """What computes the steps of one trial.

    take(cell key): whether this trial may compute that cell now. patience: seconds without a sign of life after which a
    process that holds a cell's folder, and computes no trial of this study, is waited for no more: it is stopped.
    ran: the folders of the runs that the trial has opened.
    """

    order: Order
    claim: Claim
    parent: str
    take: Callable[[str], bool]
    patience: float
    ran: list[Path] = field(default_factory=list)

    def chain(self, member: Member) -> Generator[Record | None, None, float]:
        """Pretrain, where the trial does, then fine-tune; yields the latter's records, returns its best validation."""
        plan = self.order.plan(self.claim.suggestion, member)
        tags = {"study": self.order.study, "trial": str(self.claim.trial.number), "preset": self.order.preset}
        encoder = ""
        pretraining = plan.pretraining("trial", member.seed)
        if pretraining is not None:
            run_id = yield from silent(self.settled(experiment.cell("pretrain", pretraining, tags)))
            encoder = f"runs:/{run_id}/encoder"
        tuning = plan.finetuning("trial", member.seed, encoder)
        run_id = yield from self.settled(experiment.cell("finetune", tuning, tags))
        return tracking.row(run_id).metrics[BEST]

    def settled(self, cell: Cell) -> Records:
        """Reuse a cell's finished run, else compute it, or wait for whoever does, or for the store to have it."""
        pause, fresh = GLANCES[0], False
        while True:
            ours = self.take(cell.key)  # first, so that nobody finishes it between the two questions
            found = experiment.finished(cell)
            if found is not None:
                yield from replayed(found.run_id)
                return found.run_id
            try:
                if ours and experiment.unsent(cell) is None:
                    return (yield from self.computed(cell, fresh))
            except tracking.Busy:
                fresh = experiment.silence(cell) > self.patience
            except tracking.Unshipped as late:
                tracking.sync_patiently(late.folder)
            yield None
            tracking.stop_if_asked()
            time.sleep(pause)
            pause = min(2 * pause, GLANCES[1])

    def computed(self, cell: Cell, fresh: bool) -> Records:
        """Compute a cell, going on where an interrupted attempt stopped unless it is to be a fresh one."""
        with experiment.opened(cell, parent=self.parent, fresh=fresh) as run:
            self.ran.append(run.folder)
            with closing(experiment.records(cell, run)) as records:
                yield from records
            return run.run_id


def silent(records: Records) -> Records:
    """The same without its records."""
    with closing(records):
        while True:
            try:
                next(records)
            except StopIteration as end:
                return end.value
            yield None


def replayed(run_id: str) -> Iterator[Record]:
    """The validation curve of a finished run."""
    for epoch, value in tracking.history(run_id, CURVE):
        yield {"epoch": epoch, CURVE: value}
