"""Runs without a store: their journals are all there is, they find each other by them, and sync sends them later."""

import json
import os
from pathlib import Path

import pytest
from tracking_toy import another_user_s

from iqa import disk, tracking
from iqa.tracking import shipping, store, syncing
from iqa.tracking.folders import every


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    """Offline, in an empty folder, with a store that would answer."""
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)
    monkeypatch.setenv("IQA_OFFLINE", "true")


@pytest.fixture
def online(monkeypatch):
    """Back at the store, when called."""
    return lambda: monkeypatch.delenv("IQA_OFFLINE")


def opened(name, stage="pretrain", **more):
    about = {"name": name, "params": {"seed": 0}, "tags": {"cell": name}} | more
    return tracking.open_run(stage, tracking.runs_folder() / name, **about)


def artifact(run, name):
    folder = run.folder / name
    folder.mkdir()
    (folder / "state.json").write_text(run.run_id)
    run.artifact(folder, name)


def test_a_run_offline_asks_no_store_and_ends_as_it_should(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with opened("a") as run:
        run.metrics({"loss": 2.0}, 1)
        run.metrics({"loss": 1.0}, 2)
        artifact(run, "encoder")
    assert run.finished and tracking.is_finished(run.folder)
    row = tracking.row(run.run_id)
    assert (row.status, row.params, row.metrics) == ("FINISHED", {"seed": "0"}, {"loss": 1.0})
    assert row.tags.items() >= {"stage": "pretrain", "cell": "a"}.items() and row.start <= row.end
    assert tracking.history(run.run_id, "loss") == [(1, 2.0), (2, 1.0)]
    assert (tracking.resolve(f"runs:/{run.run_id}/encoder") / "state.json").read_text() == run.run_id
    assert tracking.fetch(run.run_id, "encoder/state.json").read_text() == run.run_id
    with pytest.raises(tracking.StoreError, match="no artifact 'model': it has encoder, provenance"):
        tracking.fetch(run.run_id, "model")
    with pytest.raises(tracking.StoreError, match="is not in .*runs.*leave offline=true out"):
        tracking.resolve("runs:/0123/encoder")


def test_offline_rows_are_those_of_this_disk_by_status_and_tags():
    with opened("a"):
        pass
    with pytest.raises(ValueError, match="reason"), opened("b", stage="finetune"):
        raise ValueError("The reason.")
    with opened("parent", stage="experiment") as parent, opened("c", parent=parent.run_id):
        assert {row.name: row.status for row in tracking.rows()} == {
            "a": "FINISHED",
            "b": "FAILED",
            "parent": "RUNNING",
            "c": "RUNNING",
        }
    assert [row.name for row in tracking.rows(status="FINISHED", tags={"stage": "pretrain"})] == ["c", "a"]
    (child,) = tracking.rows(tags={"cell": "c"})
    assert child.parent == parent.run_id
    assert next(row for row in tracking.rows() if row.name == "b").tags["iqa.reason"] == "The reason."


def test_sync_creates_the_runs_parents_before_children_and_sends_all_of_them(online):
    with opened("z-parent", stage="experiment") as parent:
        with opened("b-child", parent=parent.run_id) as child:
            child.metrics({"loss": 1.0}, 1)
            artifact(child, "encoder")
        with pytest.raises(KeyboardInterrupt), opened("a-child", parent=parent.run_id) as stopped:
            raise KeyboardInterrupt
    online()
    assert not tracking.rows()
    sent = list(tracking.sync_all())
    assert [one.folder.name for one in sent] == ["z-parent", "b-child", "a-child"] and not any(o.waits for o in sent)
    rows = {row.name: row for row in tracking.rows()}
    assert {name: row.status for name, row in rows.items()} == {
        "z-parent": "FINISHED",
        "b-child": "FINISHED",
        "a-child": "KILLED",
    }
    assert rows["b-child"].parent == rows["a-child"].parent == rows["z-parent"].run_id != parent.run_id
    assert tracking.history(rows["b-child"].run_id, "loss") == [(1, 1.0)]
    times = [json.loads(line)["time"] for line in (child.folder / "journal.jsonl").read_text().splitlines()]
    assert (rows["b-child"].start, rows["b-child"].end) == (
        times[0],
        times[-2],
    )  # the last says what it became
    assert tracking.is_finished(child.folder) and tracking.row(stopped.run_id).name == "a-child"
    assert not list(tracking.sync_all())


def test_an_offline_run_s_own_id_goes_on_to_mean_it_at_the_store(online):
    with opened("a") as run:
        artifact(run, "encoder")
    own = run.run_id
    online()
    list(tracking.sync_all())
    assert tracking.row(own).run_id != own
    assert (tracking.resolve(f"runs:/{own}/encoder") / "state.json").read_text() == own
    assert tracking.row(own).run_id in tracking.url(own)


def test_a_model_s_metrics_find_the_model_that_another_offline_run_left(online, monkeypatch):
    monkeypatch.setattr("iqa.tracking.serving.upload", lambda *_: None)
    with opened("tuned", stage="finetune") as tuned:
        artifact(tuned, "model")
        (tuned.folder.parent / "served.py").write_text("")
        tuned.model("m", tuned.folder / "model", {}, tuned.folder.parent / "served.py")
    reference = tracking.logged_model(tuned.run_id)
    with opened("tested", stage="evaluate") as tested:
        tested.model_metrics(reference, {"test/srcc": 0.5}, "set", "d" * 32, 1)
    online()
    list(tracking.sync_all())
    left = tracking.logged_model(tuned.run_id)
    (value,) = store.client().get_logged_model(left).metrics
    assert (value.key, value.value) == ("test/srcc", 0.5) and left.startswith("m-")


def test_a_run_stopped_offline_goes_on_online_in_one_run_that_tells_of_no_stop(online):
    with pytest.raises(KeyboardInterrupt), opened("a") as run:
        run.metrics({"loss": 2.0}, 1)
        raise KeyboardInterrupt
    online()
    with opened("a") as again:
        again.metrics({"loss": 1.0}, 2)
    (row,) = tracking.rows()
    assert (row.status, row.run_id) == ("FINISHED", again.run_id) and "iqa.reason" not in row.tags
    assert tracking.history(again.run_id, "loss") == [(1, 2.0), (2, 1.0)]


def test_a_run_stopped_online_goes_on_offline_and_sync_tells_of_no_stop(online, monkeypatch):
    online()
    with pytest.raises(KeyboardInterrupt), opened("a") as run:
        run.metrics({"loss": 2.0}, 1)
        raise KeyboardInterrupt
    assert tracking.row(run.run_id).tags["iqa.stopped"] == "SIGINT"
    monkeypatch.setenv("IQA_OFFLINE", "1")
    with opened("a") as again:
        again.metrics({"loss": 1.0}, 2)
    assert again.run_id == run.run_id and tracking.row(run.run_id).status == "FINISHED"
    online()
    assert tracking.row(run.run_id).status == "KILLED"
    list(tracking.sync_all())
    row = tracking.row(run.run_id)
    assert row.status == "FINISHED" and row.metrics == {"loss": 1.0} and "iqa.stopped" not in row.tags


def test_the_run_that_mlflow_run_made_is_taken_offline_and_named_by_sync(online, monkeypatch):
    online()
    given = store.client().create_run(store.experiment_id("iqa"), run_name="funny-fish-7").info
    monkeypatch.setenv("IQA_OFFLINE", "1")
    monkeypatch.setenv("MLFLOW_RUN_ID", given.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", given.experiment_id)
    with opened("a") as run:
        assert run.run_id == given.run_id and "MLFLOW_RUN_ID" not in os.environ
    online()
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    list(tracking.sync_all())
    (row,) = tracking.rows()
    assert (row.run_id, row.name, row.status) == (given.run_id, "a", "FINISHED")


def test_runs_that_a_process_holds_and_stores_that_fail_are_said_and_left(online, monkeypatch):
    with opened("done"):
        pass
    with opened("held"):
        online()
        said = {one.folder.name: one for one in tracking.sync_all()}
    assert "in use by process" in said["held"].said and not said["held"].waits
    assert "entries sent" in said["done"].said
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (late,) = tracking.sync_all()
    assert late.waits and "does not answer" in late.said


@pytest.mark.parametrize("mode", ["r", ""])
def test_another_user_s_run_is_said_to_be_theirs_and_holds_up_no_other(online, monkeypatch, mode):
    for name in ("theirs", "ours"):
        with opened(name):
            pass
    another_user_s(monkeypatch, tracking.runs_folder() / "theirs", mode)
    online()
    said = {one.folder.name: one for one in tracking.sync_all()}
    assert "may not be written by you: whose it is sends it" in said["theirs"].said and not said["theirs"].waits
    assert "entries sent" in said["ours"].said


def test_a_cache_that_cannot_be_written_is_said_waits_and_holds_up_no_other(online, monkeypatch):
    for name in ("one", "other"):
        with opened(name):
            pass
    online()
    ship = syncing.ship

    def refusing(journal, position):
        if journal.path.parent.name == "one":
            raise disk.CacheError("The cache is full: make room.")
        ship(journal, position)

    monkeypatch.setattr(syncing, "ship", refusing)
    said = {one.folder.name: one for one in tracking.sync_all()}
    assert said["one"].waits and said["one"].said.endswith("The cache is full: make room.")
    assert "entries sent" in said["other"].said


@pytest.mark.parametrize("line", [0, 3])
def test_a_damaged_journal_is_said_waits_and_holds_up_no_other(online, line):
    with opened("damaged") as run:
        run.metrics({"loss": 2.0}, 1)
    with opened("sound"):
        pass
    file = tracking.runs_folder() / "damaged" / "journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:line], b"\0" * 40 + b"\n", *lines[line + 1 :]]))
    before = file.read_bytes()
    online()
    said = {one.folder.name: one for one in tracking.sync_all()}
    assert said["damaged"].waits and f"line {line + 1} is no entry" in said["damaged"].said
    assert "entries sent" in said["sound"].said and file.read_bytes() == before


def test_another_run_s_damaged_naming_line_stops_no_command(online):
    online()
    with opened("damaged"):
        pass
    file = tracking.runs_folder() / "damaged" / "journal.jsonl"
    file.write_bytes(file.read_bytes().replace(b'{"what": "joined", "time"', b'{"what": "joined"\0 "time"'))
    store.client().update_run(tracking.rows()[0].run_id, status="RUNNING")  # so that stale ones are looked for
    with opened("other") as run:
        pass
    assert run.finished


def test_what_lies_beside_the_runs_is_sent_from_where_both_were_moved(online, tmp_path):
    report = Path("reports/one")
    report.mkdir(parents=True)
    (report / "report.md").write_text("so and so")
    with opened("a") as run:
        run.artifact(report, "report")
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("reports", "runs"):
        Path(name).rename(moved / name)
    online()
    (sent,) = tracking.sync_all(moved / "runs")
    (row,) = tracking.rows()
    assert not sent.waits and tracking.fetch(row.run_id, "report/report.md").read_text() == "so and so"
    copies = tracking.copied(moved / "runs" / "a")  # that clean may remove: nothing that is not the run's own
    assert all(copy.is_relative_to(moved / "runs") for copy in copies)


def test_folders_come_oldest_first_and_parents_before_children():
    with opened("b"), opened("a"):
        pass
    with opened("nested/1"):
        pass
    assert [folder.name for folder in every()] == ["b", "a", "1"]
    assert [folder.name for folder in every(tracking.runs_folder() / "nested")] == ["1"]
    assert [folder.name for folder in every(tracking.runs_folder() / "b")] == ["b"]
