"""One trial: a run with its values and validation curves, and what it reports to the study."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iqa import tracking

from .claims import Claim
from .order import Order
from .steps import BEST, CURVE, Steps

SHOWN = ("val/", "train/loss")  # what a trial's run has of its steps' records: no test curve


@dataclass(frozen=True)
class Report:
    """The trial's value after a step, from 1 on, as it would be if the trial ended here."""

    step: int
    value: float


def attempt(steps: Steps, folder: Path) -> Iterator[Report | None]:
    """Compute a trial: a Report a validated epoch and a final one, None in between; closing it prunes the trial.

    The value is the mean, over seeds and folds, of the best epoch's validation SRCC. folder: see Desk.
    """
    order, claim = steps.order, steps.claim
    with arriving(folder), ExitStack() as stack:
        run = opened(stack, order, claim, steps.parent, folder)
        steps.ran.append(run.folder)
        claim.opened(run.run_id)
        try:
            finished: list[float] = []
            for at, member in enumerate(order.members):
                label = f"/{member.label}" if len(order.members) > 1 else ""
                with closing(steps.chain(member)) as records:
                    finished.append((yield from reports(run, records, at * per_member(order), finished, label)))
            value = sum(finished) / len(finished)
            run.metrics({BEST: value}, order.epochs)
            yield Report(order.epochs, value)
            run.tags({"trial.state": "complete"})
        except BaseException as error:
            run.tags({"trial.state": claim.ending or type(error).__name__})
            raise


@contextmanager
def arriving(below: Path) -> Iterator[None]:
    """A run below this folder that ends within, and of which a store that is away lacks some, is sent before the end.

    Another run's is raised: it ended amid the work, which is not over then.
    """
    try:
        yield
    except tracking.Unshipped as late:
        if late.folder.parent != below:
            raise
        tracking.sync_patiently(late.folder)


def opened(stack: ExitStack, order: Order, claim: Claim, parent: str, folder: Path) -> tracking.Run:
    """The trial's run: the one of its first attempt if that lies here and nobody holds it, else a new one."""
    values = {f"{stage}.{name}": value for stage, told in claim.suggestion.items() for name, value in told.items()}
    tags = {"stage": "trial", "study": order.study, "trial": str(claim.trial.number), "preset": order.preset}
    if order.arm:
        tags["arm"] = order.arm
    first, own = f"trial-{claim.first:04d}", f"trial-{claim.first:04d}-{claim.trial.number:04d}"
    about: dict[str, Any] = {"name": f"trial {claim.first}", "params": values, "tags": tags, "parent": parent}
    try:
        return stack.enter_context(tracking.open_run("trial", folder / first, reopen=True, **about))
    except tracking.Busy:  # a worker that was stopped past its time still holds it
        return stack.enter_context(tracking.open_run("trial", folder / own, reopen=True, **about))


def reports(
    run: tracking.Run,
    records: Generator[dict[str, float] | None, None, float],
    before: int,
    finished: list[float],
    label: str,
) -> Generator[Report | None, None, float]:
    """Report a member's epochs as the mean with the members before it; returns its own best validation value."""
    best = -1.0
    while True:
        try:
            record = next(records)
        except StopIteration as end:
            return end.value
        if record is None:
            yield None
            continue
        epoch, best = int(record["epoch"]), max(best, record[CURVE])  # an undefined SRCC (nan) beats nothing
        run.metrics({f"{n}{label}": value for n, value in record.items() if n.startswith(SHOWN)}, epoch)
        yield Report(before + epoch, (sum(finished) + best) / (len(finished) + 1))


def per_member(order: Order) -> int:
    """Epochs that a member has at most."""
    return order.epochs // len(order.members)
