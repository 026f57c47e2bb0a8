"""The workers of one command: their places, who is replaced and how often, and with which code it ends."""

import os
import signal
from types import SimpleNamespace

import optuna
import pytest

from studies.search import team

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
    """A team of two, and every worker that it has started, as (slot, worker)."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    started = []

    def launch(slot):
        started.append((slot, Worker()))
        return started[-1][1]

    with team.Team(2, launch, say=lambda line: None) as crew:
        yield crew, started


def test_a_worker_that_is_killed_is_replaced_in_its_place_and_one_that_left_is_not(begun):
    crew, started = begun
    started[1][1].exitcode = KILLED
    crew.look(0)
    assert [slot for slot, _ in started] == [0, 1, 1]
    started[0][1].exitcode = 2
    crew.look(0)
    assert list(crew.workers) == [1] and crew.codes == {KILLED, 2} and len(started) == 3


def test_where_one_cannot_begin_none_goes_on(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first = Worker()

    def launch(slot):
        if slot:
            raise OSError("no more processes")
        return first

    with pytest.raises(OSError, match="no more"), team.Team(2, launch, say=lambda line: None):
        pytest.fail("a team of one")
    assert not first.is_alive()


def test_a_worker_has_the_gpu_of_its_place_and_the_exit_code_of_its_work(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with pytest.raises(SystemExit) as ended:
        team.live(1, ended=lambda work: work(), work=lambda: 75)
    assert ended.value.code == 75 and os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def deaths(crew, started, far, most=1000):
    """How many workers are killed in a row until nobody is left."""
    for count in range(most):
        if not crew.workers:
            return count
        next(worker for _, worker in started if worker.is_alive()).exitcode = KILLED
        crew.look(far(count))
    return most


def test_a_team_gives_up_when_it_dies_without_getting_further(begun):
    assert deaths(*begun, far=lambda count: 7) == 2 * team.DEATHS + 2


def test_a_team_that_gets_further_is_replaced_for_ever(begun):
    assert deaths(*begun, far=lambda count: count // 9, most=100) == 100


def test_a_study_gets_further_by_reports_and_by_trials_that_end_with_a_value_never_by_a_death():
    made, states = optuna.create_study(), optuna.trial.TrialState

    def far():
        return team.distance(made.get_trials())

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
    monkeypatch.setattr(team, "LOOK", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def launch(slot):
        worker = Worker()
        worker.exitcode = code
        return worker

    desk = SimpleNamespace(done=lambda: False, trials=list)
    with pytest.raises(ValueError, match="The workers have left") as ended:
        team.supervise(desk, 2, launch, say=lambda line: None, tick=lambda: None)
    assert getattr(ended.value, "exit_code", 2) == code and isinstance(ended.value, team.Away) == away
