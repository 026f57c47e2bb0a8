"""Who computes which trial: exactly as many as were asked for, each by one worker, a dead worker's again.

A trial that its worker left is FAIL in Optuna, and a new attempt at it waits, with its values, its reports and its
first attempt's number; `latest` counts such a chain once. All of this happens while holding one lock of the study, so
that whoever holds it sees no half-made claim but those of the dead.
"""

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from iqa import tracking

from . import choices
from .database import Database, patiently
from .locks import Occupied, held
from .order import Order, Suggestion

DEATHS = 10  # workers that one trial may take with it without having reported anything new
FAILURES = 3  # trials that fail before the first one succeeds: then it is not the values' fault
FINAL = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
WORD = "word"  # the attribute of a study with a random word of its own
HURRY = 3.0  # seconds that a worker which leaves waits to give its trial back: ten are left until a cluster kills

logger = logging.getLogger("iqa")


@dataclass(eq=False)
class Claim:
    """A trial that this worker computes. first: the number of its first attempt; reports: step → value so far."""

    trial: optuna.Trial
    first: int
    suggestion: Suggestion
    reports: dict[int, float]
    ending: str = ""  # why it is closed before its end

    def opened(self, run_id: str) -> None:
        """Write down the run where this trial can be looked at."""
        patiently(lambda: self.trial.set_user_attr("run", run_id))


class Desk:
    """Where workers get their trials."""

    def __init__(self, database: Database, study: optuna.Study, order: Order):
        self.database, self.study, self.order = database, study, order
        self.space = order.space

    def folder(self) -> Path:
        """Where the runs of the study and of its trials have their folders on this machine.

        A study that is made anew under the same name has another word, and so never goes on with the old one's runs.
        One that an earlier version made has none, and keeps its folder.
        """
        word = patiently(lambda: self.study.user_attrs).get(WORD, "")
        return tracking.runs_folder() / "-".join(filter(None, ("study", self.order.study, word)))

    def trials(self) -> list[FrozenTrial]:
        """Every attempt."""
        return patiently(lambda: self.study.get_trials(deepcopy=False))

    def last(self) -> list[FrozenTrial]:
        """Each trial's last attempt."""
        return latest(self.trials())

    def done(self) -> bool:
        """Whether every trial that was asked for is over. Raises ValueError if none of the first ones succeeded."""
        last = self.last()
        failed = [trial for trial in last if trial.state == TrialState.FAIL]
        if len(failed) >= FAILURES and not any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in last):
            raise ValueError(f"Every one of {len(failed)} trials failed, the last one: {reason(failed[-1])}")
        return len(last) >= self.order.trials and all(trial.state in FINAL for trial in last)

    def claim(self) -> Claim | None:
        """The next trial, its values drawn; None where all are taken."""
        try:
            return patiently(self._claim)
        except UpdateFinishedTrialError:  # stopped for so long amid it that another worker has put it in order
            return None

    def _claim(self) -> Claim | None:
        with self._alone() as trials:
            waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
            if not waiting and len(latest(trials)) >= self.order.trials:
                return None
            number = waiting[0].number if waiting else len(trials)
            self.study.sampler = choices.sampler(self.order.sampler, self.study, number)
            trial = self.study.ask()
            self.database.storage.record_heartbeat(trial._trial_id)  # Optuna's own loop does it too late: see mend
            trial.set_user_attr("worker", me() | {"trial": trial.number})
            known = trials[trial.number] if trial.number < len(trials) else None
            if known is not None:  # what was copied from the attempt before
                trial.set_user_attr("stopped", False)
                trial.set_user_attr("cell", "")
            first = RetryHeartbeatStaleTrialCallback.retried_trial_number(known) if known else None
            return Claim(
                trial,
                trial.number if first is None else first,
                self.space.suggest(trial),
                dict(known.intermediate_values) if known else {},
            )

    def take(self, claim: Claim, cell: str) -> bool:
        """Whether this trial may compute a cell: no other that is alive does at this moment."""

        def ask() -> bool:
            with self._alone() as trials:
                others = [t for t in trials if t.state == TrialState.RUNNING and t.number != claim.trial.number]
                if any(trial.user_attrs.get("cell") == cell for trial in others):
                    return False
                claim.trial.set_user_attr("cell", cell)
                return True

        return patiently(ask)

    def tell(self, claim: Claim, state: TrialState, value: float | None = None, why: str = "") -> bool:
        """Write down how a trial ended; False if another worker has taken it over meanwhile."""

        def ask() -> None:
            self.study.sampler = optuna.samplers.RandomSampler()  # a grid's would stop a loop that there is none of
            with contextlib.suppress(UpdateFinishedTrialError):
                if why:
                    claim.trial.set_user_attr("reason", why)
                self.study.tell(claim.trial, value, state, skip_if_finished=True)

        patiently(ask)
        return self.state(claim) == state

    def release(self, claim: Claim) -> None:
        """Give a trial back, unfinished: the next worker goes on with it at once, and it does not count as a death."""

        def ask() -> None:
            with self._alone(HURRY) as trials:
                if self.state(claim) == TrialState.RUNNING:
                    claim.trial.set_user_attr("stopped", True)
                    self._fail(trials[claim.trial.number])

        try:
            patiently(ask)
        except Occupied as error:
            logger.warning("Trial %d is not given back, and is done again after a while: %s", claim.first, error)

    def state(self, claim: Claim) -> TrialState:
        """RUNNING while the trial is this worker's and goes on."""
        return patiently(lambda: self.database.storage.get_trial(claim.trial._trial_id)).state

    @contextmanager
    def _alone(self, patience: float | None = None) -> Iterator[list[FrozenTrial]]:
        """Hold the study's lock; every attempt, after what the dead left is put in order. For patience see `held`."""
        with held(self.database.study_lock(self.study.study_name), patience), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats
            warnings.filterwarnings("ignore", "Heartbeat of storage is supposed")  # ours beats without optimize
            self._mend()
            yield self.study.get_trials(deepcopy=False)

    def _mend(self) -> None:
        """Fail the trials of dead workers, and see that each such trial has its next attempt."""
        fail_stale_trials(self.study)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = trial.user_attrs.get("worker", {})
            if worker.get("trial") != trial.number or gone(worker):  # if not its own, its worker died while claiming it
                self._fail(trial)
        trials = self.study.get_trials(deepcopy=False)
        followed = superseded(trials)
        for trial in trials:  # whoever failed it died before adding the next attempt
            if trial.state == TrialState.FAIL and trial.number not in followed:
                again(self.study, trial)

    def _fail(self, trial: FrozenTrial) -> None:
        self.study.sampler = optuna.samplers.RandomSampler()
        self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        again(self.study, self.study.get_trials(deepcopy=False)[trial.number])


def again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue the next attempt at a trial whose worker is gone, unless it took too many workers with it."""
    trials = study.get_trials(deepcopy=False)
    if trial.state != TrialState.FAIL or "reason" in trial.user_attrs or trial.number in superseded(trials):
        return
    if deaths(trials, trial) < DEATHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, trial)


def superseded(trials: Iterable[FrozenTrial]) -> set[int]:
    """The numbers of the attempts that a later one follows."""
    return {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}


def latest(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Each trial once: its last attempt."""
    followed = superseded(trials)
    return [trial for trial in trials if trial.number not in followed]


def deaths(trials: list[FrozenTrial], trial: FrozenTrial) -> int:
    """How many workers died over a trial since it last got on; those that were asked to stop are none."""
    count = known = 0
    for attempt in [*(trials[number] for number in trial.system_attrs.get("retry_history", ())), trial]:
        reports = len(attempt.intermediate_values)  # the earlier attempts' among them
        count = 0 if reports > known else count + (not attempt.user_attrs.get("stopped", False))
        known = reports
    return count


def reason(trial: FrozenTrial) -> str:
    """Why a trial failed for good."""
    return trial.user_attrs.get("reason") or f"{DEATHS} workers died over it."


def me() -> dict[str, Any]:
    """This process, as another one of this machine can tell that it is gone."""
    return {"where": _where(), "pid": os.getpid()}


def gone(worker: dict[str, Any]) -> bool:
    """Whether a worker of this machine is gone for certain; one of another machine is only ever stale."""
    if worker["where"] != _where():
        return False
    try:
        os.kill(worker["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's: alive
        return False
    return False


def _where() -> str:
    """The machine since its last start, and the container: where a process number means the same process."""
    parts = [socket.gethostname()]
    boot, names = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.is_file():
        parts.append(boot.read_text().strip())
    if names.is_symlink():
        parts.append(os.readlink(names))
    return " ".join(parts)
