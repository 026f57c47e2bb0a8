"""Many runs at once: a snapshot answers as the store would, and asks it once."""

import pytest

from iqa import tracking
from iqa.tracking import reading, shipping, store


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


def left(home, name, **curves):
    """A finished run of the cell `name` with a curve and an artifact."""
    with tracking.open_run("pretrain", home / name, name=name, params={}, tags={"cell": name}) as run:
        for key, values in curves.items():
            for step, value in enumerate(values):
                run.metrics({key: value}, step)
        (run.folder / "encoder").mkdir()
        (run.folder / "encoder" / "state.json").write_text(name)
        run.artifact(run.folder / "encoder")
    return run


@pytest.fixture
def asked(monkeypatch):
    """What the store was asked, by the name of the question."""
    questions = []
    for name in ("rows", "row", "history", "histories"):
        real = getattr(reading, name)

        def told(*given, _name=name, _real=real, **named):
            questions.append(_name)
            return _real(*given, **named)

        monkeypatch.setattr(reading, name, told)
    return questions


def test_it_answers_as_the_store_does_and_asks_once_for_all_runs(home, asked):
    runs = [left(home, "a", loss=[3.0, 2.0], nan=[float("nan")]), left(home, "b", loss=[5.0])]
    once = tracking.Snapshot()
    assert once.finished("cell", "a")[0].run_id == runs[0].run_id and once.finished("stage", "pretrain")[1:]
    for run in runs:
        curves = [
            [(step, repr(value)) for step, value in ask(run.run_id, "nan")] for ask in (once.history, tracking.history)
        ]
        assert curves[0] == curves[1]
        assert once.history(run.run_id, "loss") == tracking.history(run.run_id, "loss") != []
        assert once.history(run.run_id, "unknown") == []
        assert once.url(run.run_id) == tracking.url(run.run_id)
        assert once.resolve(f"runs:/{run.run_id}/encoder") == tracking.resolve(f"runs:/{run.run_id}/encoder")
        assert (once.fetch(run.run_id, "encoder") / "state.json").read_text() == run.folder.name
    with pytest.raises(tracking.StoreError, match="no artifact 'model': it has encoder, provenance"):
        once.fetch(runs[0].run_id, "model")
    asked.clear()
    for run in runs:
        once.row(run.run_id), once.url(run.run_id), once.fetch(run.run_id, "encoder"), once.history(run.run_id, "loss")
    assert not asked


def test_a_run_that_came_later_is_asked_for_and_shows_as_finished_unless_it_is_still(home):
    still, fresh = tracking.Snapshot(), tracking.Snapshot(still=False)
    assert not still.rows and not fresh.rows
    run = left(home, "late", loss=[1.0])
    assert still.finished("cell", "late") == [] and fresh.finished("cell", "late")[0].run_id == run.run_id
    assert still.history(run.run_id, "loss") == [(0, 1.0)] and still.url(run.run_id) == tracking.url(run.run_id)
    assert (still.fetch(run.run_id, "encoder") / "state.json").read_text() == "late"


def test_a_run_that_failed_is_no_finished_one(home):
    with pytest.raises(ValueError), tracking.open_run("pretrain", home / "f", name="f", params={}, tags={"cell": "f"}):
        raise ValueError("reason")
    assert len(tracking.Snapshot().rows) == 1 and not tracking.Snapshot().finished("cell", "f")


def test_offline_the_journals_answer(home, monkeypatch):
    monkeypatch.setenv("IQA_OFFLINE", "true")
    monkeypatch.setenv("IQA_RUNS", str(home))
    run = left(home, "a", loss=[3.0, 2.0])
    once = tracking.Snapshot()
    assert once.finished("cell", "a")[0].run_id == run.run_id
    assert once.history(run.run_id, "loss") == [(0, 3.0), (1, 2.0)] and once.url(run.run_id) == tracking.url(run.run_id)
    assert (once.fetch(run.run_id, "encoder") / "state.json").read_text() == "a"


def test_a_store_without_a_question_for_many_runs_is_asked_for_each(home, monkeypatch):
    run = left(home, "a", loss=[3.0, 2.0])
    whole = reading.histories([run.run_id], "loss")
    monkeypatch.delattr(type(store.client()._tracking_client.store), "get_metric_history_bulk")
    assert reading.histories([run.run_id], "loss") == whole == {run.run_id: [(0, 3.0), (1, 2.0)]}
