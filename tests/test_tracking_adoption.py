"""Runs that another process began: gone on with, joined, ended in its place; and runs closed before their end."""

import pytest

from iqa import tracking

ABOUT = {"name": "x", "params": {}, "tags": {}}


def begun(folder):
    """A run that was begun in a folder and ended; its id."""
    with tracking.open_run("study", folder, **ABOUT) as run:
        return run.run_id


def test_another_machine_goes_on_with_the_same_run(home):
    first = begun(home / "here")
    assert tracking.adopt(home / "there", first, "study", "x")
    with tracking.open_run("study", home / "there", reopen=True, **ABOUT) as run:
        assert run.run_id == first and run.resumed
        run.metrics({"later": 1.0}, 1)
    assert tracking.row(first).metrics["later"] == 1.0 and len(tracking.rows()) == 1


def test_a_folder_that_has_a_run_keeps_it_and_a_run_that_is_not_there_is_not_adopted(home):
    first, second = begun(home / "a"), begun(home / "b")
    assert not tracking.adopt(home / "a", second, "study", "x")
    assert not tracking.adopt(home / "c", "0" * 32, "study", "x")
    with tracking.open_run("study", home / "a", reopen=True, **ABOUT) as run:
        assert run.run_id == first


def test_the_run_that_mlflow_made_for_one_who_joins_is_kept_out_of_our_tables(home, monkeypatch):
    from mlflow import MlflowClient

    first = begun(home / "a")
    empty = MlflowClient().create_run(tracking.row(first).experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", empty)
    tracking.stand_in(first, "", "x (joined)")
    tags = MlflowClient().get_run(empty).data.tags
    assert tags["iqa.continues"] == first and [row.run_id for row in tracking.rows()] == [first]
    with tracking.open_run("trial", home / "b", parent=first, **ABOUT) as run:
        assert run.run_id != empty


def test_a_run_whose_process_is_gone_is_ended_once_with_the_reason(home):
    run = tracking.open_run("trial", home / "a", **ABOUT)
    with run:
        assert tracking.abandon(run.run_id, "Its worker is gone.")
        row = tracking.row(run.run_id)
        assert row.status == "KILLED" and row.tags["iqa.reason"] == "Its worker is gone."
        assert not tracking.abandon(run.run_id, "Again.") and not tracking.abandon("0" * 32, "Never was.")


def test_a_run_that_is_closed_before_its_end_is_killed_and_says_so(home):
    def stage():
        with tracking.open_run("trial", home / "a", **ABOUT) as run:
            yield run.run_id
            pytest.fail("it goes on")

    records = stage()
    run_id = next(records)
    records.close()
    row = tracking.row(run_id)
    assert row.status == "KILLED" and row.tags["iqa.stopped"] == "closed"
