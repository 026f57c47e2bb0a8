"""Several workers on one study: exact counts, shared steps, deaths, silence; also on PostgreSQL where there is one."""

import os
import signal
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from study_left import NAME

from benchmarks import postgres, study_toy
from benchmarks.faults.warm import until
from iqa import tracking
from iqa.tracking import patience, signals
from studies.search import claims, database, locks
from studies.search.database import Database
from studies.search.locks import held
from studies.search.order import Order

ROOT = Path(__file__).parent.parent
WORDS = ["--preset=smoke", "--epochs=4", "--compute.threads=1", "--pruner=none", "--grace=4"]


@pytest.fixture
def toy(home, photos, monkeypatch):
    """Starts the study command with toy stages as a process of its own, in an empty folder."""
    monkeypatch.setenv(study_toy.LOG, str(home / "toy.jsonl"))
    monkeypatch.setenv(study_toy.SLEEP, "0.3")
    monkeypatch.setenv("OPTUNA_STORAGE", f"sqlite:///{home}/optuna.db")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    started = []

    def start(*words):
        command = [sys.executable, "-m", "benchmarks.study_toy", *WORDS, f"--data={photos}", *words]
        with (home / f"out-{len(started)}.txt").open("w") as out:
            started.append(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def trials(name=NAME):
    with closing(Database(os.environ["OPTUNA_STORAGE"], 60, claims.again)) as database:
        return optuna.load_study(study_name=name, storage=database.storage).trials


def epochs(pid=None):
    return [note for note in study_toy.notes() if note["stage"] == "finetune" and pid in (None, note["pid"])]


def workers():
    """The processes that computed an epoch."""
    return {note["pid"] for note in epochs()}


def free(name):
    """Whether nobody holds a lock of the database."""
    with closing(Database(os.environ["OPTUNA_STORAGE"], 60, claims.again)) as database:
        lock = database.lock(name)
        taken = lock.take()
        lock.leave()
        return taken


def statuses():
    return {row.status for row in tracking.rows()}


@pytest.mark.processes
def test_a_killed_worker_s_trial_is_done_again_once_from_its_checkpoint(toy):
    first = toy("--trials=3")
    assert until(lambda: len(epochs()) >= 6, 100)  # amid the second trial
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = toy("--trials=3")
    assert second.wait(90) == 0
    found = trials()
    assert [trial.state.name for trial in found].count("COMPLETE") == 3
    (killed,) = [trial for trial in found if trial.state == TrialState.FAIL]
    (again,) = [trial for trial in found if trial.system_attrs.get("retry_history") == [killed.number]]
    assert again.params == killed.params and sorted(again.intermediate_values) == [1, 2, 3, 4]
    done = [note["epoch"] for note in epochs() if note["ratio"] == killed.params["encoder_lr_ratio"]]
    assert len(done) <= 5 and set(done) == {1, 2, 3, 4}  # at most the epoch that was not kept yet is done twice
    assert statuses() == {"FINISHED"} and len([row for row in tracking.rows() if row.tags["stage"] == "trial"]) == 3


def objective(trial):
    return trial.suggest_float("x", 0, 1)


@pytest.fixture
def study(tmp_path):
    """A study in a database as ours are, without trials."""
    with closing(Database(f"sqlite:///{tmp_path}/optuna.db", 60, claims.again)) as database:
        yield optuna.create_study(study_name="x", storage=database.storage, direction="maximize")


def attempted(study, **attributes):
    """A trial that somebody began."""
    trial = study.ask()
    objective(trial)
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
    return trial


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_is_tried_again_until_it_has_taken_too_many_workers_with_it(study):
    attempted(study)
    for _ in range(claims.DEATHS + 3):
        running = study.get_trials()[-1].number
        study.tell(running, state=TrialState.FAIL, skip_if_finished=True)
        claims.again(study, study.get_trials()[running])
        if study.get_trials()[-1].state == TrialState.WAITING:
            study.ask()
    assert len(study.get_trials()) == claims.DEATHS and len(claims.latest(study.get_trials())) == 1
    assert claims.reason(study.get_trials()[-1]) == f"{claims.DEATHS} workers died over it."


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_that_gets_on_may_take_any_number_of_workers(study):
    attempted(study)
    for number in range(claims.DEATHS + 3):
        study.tell(number, state=TrialState.FAIL)
        claims.again(study, study.trials[number])
        study.ask().report(0.5, number)
    assert claims.deaths(study.trials, study.trials[-1]) == 0 and len(study.trials) == claims.DEATHS + 4


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_being_asked_to_stop_is_no_death_and_a_failure_is_not_tried_again(study):
    for attributes, more in (({"stopped": True}, 1), ({}, 1), ({"reason": "NaN"}, 0)):
        trial = attempted(study, **attributes)
        study.tell(trial, state=TrialState.FAIL)
        before = len(study.trials)
        for _ in range(2):  # asking twice changes nothing
            claims.again(study, study.trials[trial.number])
        assert len(study.trials) - before == more
        if more:
            assert claims.deaths(study.trials, study.trials[trial.number]) == (0 if "stopped" in attributes else 1)
            study.tell(study.ask(), 0.5)


@pytest.fixture
def desk(study, tmp_path):
    """Where workers of a study of three trials get them."""
    with closing(Database(f"sqlite:///{tmp_path}/optuna.db", 60, claims.again)) as database:
        mine = optuna.load_study(study_name="x", storage=database.storage)
        asked = Order("encoder_lr_ratio", "x", "smoke", 3, (0,), (), "", "", "random", "none", {})
        yield claims.Desk(database, mine, asked)


def test_no_more_trials_are_given_out_than_asked_for_and_the_last_one_ends_the_study(desk):
    given = [desk.claim() for _ in range(3)]
    assert desk.claim() is None and not desk.done()
    assert all(desk.tell(claim, TrialState.COMPLETE, 0.5) for claim in given)
    assert desk.claim() is None and desk.done()


def test_a_trial_given_back_is_the_next_one_to_be_given_out_with_what_it_reported(desk):
    first = desk.claim()
    first.trial.report(0.7, 1)
    desk.release(first)
    again = desk.claim()
    assert (again.first, again.reports, again.suggestion) == (first.trial.number, {1: 0.7}, first.suggestion)
    assert not desk.tell(first, TrialState.COMPLETE, 0.9) and desk.tell(again, TrialState.COMPLETE, 0.5)


def test_a_worker_that_is_asked_to_stop_gives_its_trial_back_though_another_one_claims_at_that_moment(
    desk, monkeypatch
):
    claim, answers, take = desk.claim(), [False, False], locks.MachineLock.take
    monkeypatch.setattr(locks.MachineLock, "take", lambda lock: answers.pop() if answers else take(lock))
    monkeypatch.setattr(signals, "_asked", signal.SIGTERM)
    desk.release(claim)
    assert [trial.state.name for trial in desk.study.trials] == ["FAIL", "WAITING"]


def test_a_lock_that_stays_with_another_process_keeps_nobody_from_leaving(desk, monkeypatch, caplog):
    claim = desk.claim()
    monkeypatch.setattr(claims, "HURRY", 0.1)
    with held(desk.database.study_lock("x")):
        desk.release(claim)
    assert "Trial 0 is not given back" in caplog.text and desk.state(claim) == TrialState.RUNNING


def test_a_step_belongs_to_one_living_trial_and_to_the_next_when_that_is_over(desk):
    first, second = desk.claim(), desk.claim()
    assert desk.take(first, "cell") and desk.take(first, "cell") and not desk.take(second, "cell")
    assert desk.take(second, "another")
    desk.tell(first, TrialState.COMPLETE, 0.5)
    assert desk.take(second, "cell")


def test_what_a_worker_left_half_claimed_is_given_out_again(desk):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        desk.study.ask()  # and died before its first heartbeat
    claim = desk.claim()
    assert (claim.trial.number, claim.first) == (1, 0) and desk.study.trials[0].state == TrialState.FAIL


def test_a_trial_without_its_next_attempt_gets_it(desk):
    claim = desk.claim()
    desk.study.tell(claim.trial, state=TrialState.FAIL)  # and whoever failed it died
    assert desk.claim().first == claim.trial.number


def test_a_process_of_this_machine_is_known_to_be_gone_and_one_elsewhere_never():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert claims.gone(claims.me() | {"pid": process.pid}) and not claims.gone(claims.me())
    assert not claims.gone({"where": "another machine", "pid": process.pid})


def test_a_database_that_is_away_for_a_moment_is_waited_for(monkeypatch, caplog):
    answers = iter([optuna.exceptions.StorageInternalError("a commit"), "here"])

    def ask():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer from OSError("gone")
        return answer

    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.02))
    assert database.patiently(ask) == "here" and "database fails, and is waited for: gone" in caplog.text


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL that can be stopped and started again; None where it is not installed."""
    if not postgres.installed():
        yield None
        return
    with postgres.Server() as running:
        yield running


@pytest.fixture
def storage(server, toy, monkeypatch):
    """The toys' studies are in a PostgreSQL where there is one."""
    if server is not None:
        monkeypatch.setenv("OPTUNA_STORAGE", server.address)
    return server


@pytest.mark.processes
def test_workers_make_exactly_the_trials_asked_for_through_a_kill_and_an_outage(toy, storage, home):
    (home / "toy.yaml").write_text(
        "title: Toy\npreset: smoke\nseeds: [0]\narms:\n  pretrained: {title: P, pretrain: {families: jpeg}}\n"
    )
    process = toy("--trials=10", "--workers=2", "--arm=pretrained", "--experiment=toy.yaml", "--grace=30")
    assert until(lambda: len(workers()) == 2, 100)
    os.kill(epochs()[-1]["pid"], signal.SIGKILL)
    if storage is not None:
        storage.restart(pause=1)
        assert until(lambda: not free(f"lead {NAME}"), 20)  # its leader's again
    assert process.wait(110) == 0, (home / "out-0.txt").read_text()
    assert len(workers()) == 3  # the one in the killed one's place too
    found = trials()
    assert sorted(trial.state.name for trial in found) == ["COMPLETE"] * 10 + ["FAIL"]
    assert len(claims.latest(found)) == 10 and statuses() == {"FINISHED"}
    assert len([note for note in study_toy.notes() if note["stage"] == "pretrain"]) == 1
    stages = [row.tags["stage"] for row in tracking.rows()]
    assert (stages.count("study"), stages.count("trial"), stages.count("pretrain")) == (1, 10, 1)
