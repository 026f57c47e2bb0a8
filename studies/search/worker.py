"""A worker: takes a trial, computes it, tells how it ended, until there is none left."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from iqa import disk, experiment, tracking

from .attempt import Report, attempt
from .claims import Claim, Desk
from .database import TROUBLES, DatabaseAway, cause, patiently
from .steps import Steps

IDLE = 1.0  # seconds between two looks at a study whose last trials others compute
OURS = (tracking.StoreError, tracking.Busy, tracking.JournalError)  # no fault of the trial's values

logger = logging.getLogger("iqa")
Say = Callable[[str], None]


class Heartbeat:
    """Tells the database that a trial's worker lives, from a thread of its own that outlives an outage."""

    def __init__(self, desk: Desk, claim: Claim):
        self.desk, self.claim = desk, claim
        self.lost = False  # whether the trial was given to another worker
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(self.desk.database.beat)

    def _work(self) -> None:
        database, trial_id = self.desk.database, self.claim.trial._trial_id
        while not self._end.wait(database.beat):
            try:
                database.storage.record_heartbeat(trial_id)
                self.lost = self.lost or database.storage.get_trial(trial_id).state != TrialState.RUNNING
            except TROUBLES as error:  # the worker itself says so, and waits
                logger.debug("No heartbeat for trial %d: %s", self.claim.trial.number, cause(error))
        database.storage.remove_session()


@dataclass(frozen=True)
class Worker:
    """What computes trials below a study's parent run. tick: called after each report, and while others compute."""

    desk: Desk
    parent: str
    say: Say
    tick: Callable[[], None]

    def work(self) -> None:
        """Compute trials until as many as were asked for are over."""
        while not self.desk.done():
            tracking.stop_if_asked()
            claim = self.desk.claim()
            if claim is None:
                time.sleep(IDLE)  # the last ones are others': stay, should their workers die
            else:
                self.compute(claim)
            self.tick()

    def compute(self, claim: Claim) -> None:
        """Compute a trial and tell how it ended; give it back if this worker has to leave."""
        desk, say = self.desk, self.say
        say(f"trial {claim.first}: {spelled(claim.trial.params)}")
        try:
            with Heartbeat(desk, claim) as heart:
                state, value = self.followed(claim, heart)
            counted = desk.tell(claim, state, value if state == TrialState.COMPLETE else None)
        except UpdateFinishedTrialError:
            counted = False
        except DatabaseAway:  # for ten minutes it took no word, and would not take that the trial is given back
            raise
        except experiment.FAULTS as error:
            if isinstance(error, OURS) or disk.refuses(error):
                desk.release(claim)
                raise
            logger.error("trial %d failed: %s", claim.first, error)
            desk.tell(claim, TrialState.FAIL, why=str(error) or type(error).__name__)
            return
        except BaseException:
            desk.release(claim)
            raise
        if counted:
            say(f"trial {claim.first}: {state.name.lower()}, validation SRCC {value:.4f}")
        else:
            say(f"trial {claim.first} went to another worker while this one was silent: what it computed is not used")

    def followed(self, claim: Claim, heart: Heartbeat) -> tuple[TrialState, float]:
        """(COMPLETE or PRUNED, value), when the store has all of it.

        Raises UpdateFinishedTrialError if another worker has taken the trial over.
        """

        def take(cell: str) -> bool:
            return self.desk.take(claim, cell)

        steps = Steps(self.desk.order, claim, self.parent, take, self.desk.database.grace)
        with closing(attempt(steps, self.desk.folder())) as reports:
            state, value = self.judged(claim, heart, reports)
        if state == TrialState.PRUNED and not tracking.offline():
            for folder in steps.ran:  # a run that is closed waits for its store no longer than a stopped one
                tracking.sync_patiently(folder)
        return state, value

    def judged(self, claim: Claim, heart: Heartbeat, reports: Iterator[Report | None]) -> tuple[TrialState, float]:
        """Pass a trial's reports on, until it has ended or is to be pruned."""
        value = float("nan")
        for report in reports:
            if report is not None:
                value = report.value
                if report.step not in claim.reports:
                    told(claim, report)
                    so_far = f"validation SRCC so far {value:.4f}"
                    self.say(f"trial {claim.first}  {report.step}/{self.desk.order.epochs}  {so_far}")
            self.tick()
            last = report is not None and report.step >= self.desk.order.epochs
            if heart.lost or (last and self.desk.state(claim) != TrialState.RUNNING):
                claim.ending = "taken over"
                raise UpdateFinishedTrialError
            if report is not None and not last and patiently(claim.trial.should_prune):
                claim.ending = "pruned"
                return TrialState.PRUNED, value
        return TrialState.COMPLETE, value


def told(claim: Claim, report: Report) -> None:
    """Tell the study a value that neither this attempt nor an earlier one has told."""
    claim.reports[report.step] = report.value
    try:
        patiently(lambda: claim.trial.report(report.value, report.step))
    except UpdateFinishedTrialError:
        claim.ending = "taken over"
        raise


def spelled(params: dict[str, Any]) -> str:
    """A trial's values in a line."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items()
    )
