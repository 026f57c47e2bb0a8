"""A store that has answered and goes away is waited for; one that never answered, and a refusal, are told at once."""

import signal

import pytest
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import DEADLINE_EXCEEDED, TEMPORARILY_UNAVAILABLE

from iqa import tracking
from iqa.tracking import answering, patience, signals, store, syncing
from iqa.tracking.patience import patient

GONE = MlflowException("API request failed with exception: connection refused")
REFUSALS = [
    RestException({"error_code": "PERMISSION_DENIED", "message": "no"}),
    RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}),
    tracking.StoreError("Run 1 has no artifact 'model': it has none."),
    FileNotFoundError(2, "No such file", "/there"),
    ValueError("levels = 1: at least 2."),
]
OUTAGES = [
    GONE,
    MlflowException("the database is gone", error_code=TEMPORARILY_UNAVAILABLE),
    MlflowException("a gateway's 504", error_code=DEADLINE_EXCEEDED),
    answering.Away("The tracking store at http://h does not answer"),
    ConnectionResetError("reset by peer"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Pauses as short as can be, in a process whose store has answered."""
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.02))
    monkeypatch.setattr(patience, "_answered", {store.uri()})


def failing(*first):
    """A question that fails so before it is answered, and the list of what it was asked."""
    waiting, asked = list(first), []

    @patient
    def ask(what):
        asked.append(what)
        if waiting:
            raise waiting.pop(0)
        return f"{what}: here"

    return ask, asked


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: type(error).__name__)
def test_a_store_that_went_away_is_asked_again_until_it_answers(error, caplog):
    caplog.set_level("INFO", "iqa")
    ask, asked = failing(error, error)
    assert ask("rows") == "rows: here" and asked == ["rows"] * 3
    told = [record.message for record in caplog.records]
    assert told == [f"The tracking store fails, and is waited for: {error}", "The tracking store answers again."]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_an_answer_that_one_does_not_like_is_an_answer(error):
    ask, asked = failing(error)
    with pytest.raises(type(error)):
        ask("rows")
    assert len(asked) == 1


def test_a_store_that_has_never_answered_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(patience, "_answered", set())
    ask, asked = failing(GONE)
    with pytest.raises(MlflowException):
        ask("rows")
    assert ask("rows") == "rows: here" and len(asked) == 2
    assert failing(GONE)[0]("rows") == "rows: here"  # it has answered now


def test_what_is_answered_offline_says_nothing_of_the_store(monkeypatch):
    monkeypatch.setattr(patience, "_answered", set())
    monkeypatch.setenv("IQA_OFFLINE", "true")
    assert failing()[0]("rows") == "rows: here"
    monkeypatch.delenv("IQA_OFFLINE")
    with pytest.raises(MlflowException):
        failing(GONE)[0]("rows")


def test_after_ten_minutes_the_command_ends_with_the_code_for_try_again(monkeypatch):
    assert patience.OUTAGE == 600
    monkeypatch.setattr(patience, "OUTAGE", 0.05)
    with pytest.raises(tracking.StillAway, match="The tracking store has been away for 0.05 s: API request") as ended:
        failing(*[GONE] * 1000)[0]("rows")
    assert ended.value.exit_code == 75


def test_who_waits_can_be_asked_to_stop(monkeypatch):
    monkeypatch.setattr(signals, "_asked", signal.SIGTERM)
    with pytest.raises(tracking.Stopped):
        failing(GONE)[0]("rows")


def test_what_could_not_be_sent_is_sent_when_the_store_is_back(monkeypatch, tmp_path):
    answers = [GONE, GONE]

    def sync(folder):
        if not answers:
            return 7
        raise tracking.Unshipped(folder, 7, "away") from answers.pop()

    monkeypatch.setattr(syncing, "sync", sync)
    assert tracking.sync_patiently(tmp_path) == 7
    answers.append(REFUSALS[0])
    with pytest.raises(tracking.Unshipped):
        tracking.sync_patiently(tmp_path)


def test_a_run_joined_twice_because_an_answer_was_lost_is_one_run(home, monkeypatch):
    tracking.expect_store()
    create, lost = store.create_run, [GONE]

    def made(*told):
        run = create(*told)
        if lost:
            raise lost.pop()
        return run

    monkeypatch.setattr(store, "create_run", made)
    with tracking.open_run("finetune", home / "run", name="one", params={}, tags={"stage": "finetune"}):
        pass
    assert [row.name for row in tracking.rows()] == ["one"]
