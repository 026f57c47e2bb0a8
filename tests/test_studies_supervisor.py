"""The workers of one command: their places, who is replaced and how often, and with which code it ends."""

import os
import signal
from types import SimpleNamespace

import optuna
import pytest

from studies.search import supervisor

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
KILLED = -signal.SIGKILL


class Worker:
    """A process that lives until it is given an exit code."""

    def __init__(self):
        self.exitcode = None

    def is_alive(self):
        return self.exitcode is None

    def terminate(self):
        self.exitcode = -signal.SIGTERM

    def join(self):
        """It has ended."""


@pytest.fixture
def begun(monkeypatch):
    """Two workers, and every one that was started, as (slot, worker)."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    started = []

    def launch(slot):
        started.append((slot, Worker()))
        return started[-1][1]

    with supervisor.Workers(2, launch, say=lambda line: None) as workers:
        yield workers, started


def test_a_worker_that_is_killed_is_replaced_in_its_place_and_one_that_left_is_not(begun):
    workers, started = begun
    started[1][1].exitcode = KILLED
    workers.look(0)
    assert [slot for slot, _ in started] == [0, 1, 1]
    started[0][1].exitcode = 2
    workers.look(0)
    assert list(workers.alive) == [1] and workers.codes == {KILLED, 2} and len(started) == 3


def test_where_one_cannot_begin_none_goes_on(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first = Worker()

    def launch(slot):
        if slot:
            raise OSError("no more processes")
        return first

    with pytest.raises(OSError, match="no more"), supervisor.Workers(2, launch, say=lambda line: None):
        pytest.fail("one alone")
    assert not first.is_alive()


def test_a_worker_has_the_gpu_of_its_place_and_the_exit_code_of_its_work(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with pytest.raises(SystemExit) as ended:
        supervisor.live(1, ended=lambda work: work(), work=lambda: 75)
    assert ended.value.code == 75 and os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def deaths(workers, started, far, most=1000):
    """How many workers are killed in a row until nobody is left."""
    for count in range(most):
        if not workers.alive:
            return count
        next(worker for _, worker in started if worker.is_alive()).exitcode = KILLED
        workers.look(far(count))
    return most


def test_nobody_is_replaced_any_more_where_all_die_without_getting_further(begun):
    assert deaths(*begun, far=lambda count: 7) == 2 * supervisor.DEATHS + 2


def test_workers_that_get_further_are_replaced_for_ever(begun):
    assert deaths(*begun, far=lambda count: count // 9, most=100) == 100


def test_a_study_gets_further_by_reports_and_by_trials_that_end_with_a_value_never_by_a_death():
    made, states = optuna.create_study(), optuna.trial.TrialState

    def far():
        return supervisor.distance(made.get_trials())

    assert far() == 0
    dying = made.ask()
    assert far() == 0
    dying.report(0.5, 1)
    assert far() == 1
    made.tell(dying, state=states.FAIL)
    made.add_trial(
        optuna.trial.create_trial(
            state=states.WAITING, intermediate_values={1: 0.5}, system_attrs={"retry_history": [0]}
        )
    )
    assert far() == 1
    made.tell(made.ask(), 0.5)
    assert far() == 2


@pytest.mark.parametrize(("code", "away"), [(75, True), (2, False)])
def test_a_command_whose_workers_left_ends_with_the_code_that_says_why(code, away, monkeypatch):
    monkeypatch.setattr(supervisor, "LOOK", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def launch(slot):
        worker = Worker()
        worker.exitcode = code
        return worker

    desk = SimpleNamespace(done=lambda: False, trials=list)
    with pytest.raises(ValueError, match="The workers have left") as ended:
        supervisor.supervise(desk, 2, launch, say=lambda line: None, tick=lambda: None)
    assert getattr(ended.value, "exit_code", 2) == code and isinstance(ended.value, supervisor.WorkersAway) == away
