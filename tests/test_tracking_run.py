"""A run: what it leaves in the store, how it ends, goes on and is refused."""

import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tracking_toy import arrived, opened, stored

from iqa import tracking
from iqa.tracking import run as run_module
from iqa.tracking import shipping, store
from iqa.tracking.run import metric_name, outcome

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    """A working directory and an experiment of its own, and no pauses."""
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


def test_a_run_leaves_what_it_wrote(tmp_path):
    with opened(tmp_path / "run", description="# why") as run:
        for step in (1, 2, 3):
            run.metrics({"train/loss": 1 / step, "val/srcc": float("nan")}, step)
        (tmp_path / "run" / "encoder").mkdir()
        (tmp_path / "run" / "encoder" / "state.json").write_text("{}")
        (tmp_path / "elsewhere.csv").write_text("a,b")
        run.artifact(tmp_path / "run" / "encoder")
        run.artifact(tmp_path / "elsewhere.csv", "predictions")
        run.dataset("sample", "d" * 32, "/data", "training", {"split": 1})
        run.tags({"arm": "baseline"})
        run.note("# why, and what came out")
        assert not run.finished and not run.resumed and run.cell == "abc" and run.folder == tmp_path / "run"
    assert run.finished

    row = tracking.row(run.run_id)
    assert (row.name, row.status, row.params) == ("a name", "FINISHED", {"seed": "0", "optim.lr": "5e-05"})
    assert row.start <= row.end and row.parent == ""
    assert row.tags.items() >= {"stage": "pretrain", "cell": "abc", "arm": "baseline"}.items()
    assert row.tags["mlflow.note.content"] == "# why, and what came out" and "iqa.heartbeat" in row.tags
    assert tracking.history(run.run_id, "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert [str(value) for _, value in tracking.history(run.run_id, "val/srcc")] == ["nan"] * 3
    assert (tracking.fetch(run.run_id, "encoder") / "state.json").read_text() == "{}"
    assert tracking.resolve(f"runs:/{run.run_id}/predictions/elsewhere.csv").read_text() == "a,b"
    assert "mlflow==" in tracking.fetch(run.run_id, "provenance/environment.txt").read_text()
    (given,) = stored(run.run_id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("sample", "d" * 32)
    assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "training", "split": "1"}


def test_the_times_in_the_store_are_those_of_the_journal(tmp_path):
    with opened(tmp_path / "run") as run:
        run.metrics({"loss": 1.0}, 1)
    lines = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    (written,) = [line["time"] for line in lines if line["what"] == "metrics"]
    (found,) = store.client().get_metric_history(run.run_id, "loss")
    assert found.timestamp == written
    assert stored(run.run_id).info.end_time == lines[-1]["time"]
    assert stored(run.run_id).info.start_time == lines[0]["time"]


def test_what_mlflow_run_logged_does_not_collide_with_the_config(tmp_path, monkeypatch):
    client = store.client()
    given = client.create_run(store.experiment_id("iqa"), run_name="funny-fish-7").info.run_id
    client.log_param(given, "seed", "'0'")
    client.log_param(given, "optim.lr", "5e-5")
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    with opened(tmp_path / "run") as run:
        assert run.run_id == given and "MLFLOW_RUN_ID" not in os.environ
        with run.child("finetune", tmp_path / "child", name="c", params={}, tags={}) as child:
            assert child.run_id != given
    row, below = tracking.row(given), tracking.row(child.run_id)
    assert row.name == "a name" and row.params == {"seed": "0", "optim.lr": "5e-05"}
    assert stored(given).data.params["seed"] == "'0'"
    assert below.parent == given and below.experiment_id == row.experiment_id
    assert (row.status, below.status) == ("FINISHED", "FINISHED")


def test_a_child_lies_in_its_parent_s_experiment(tmp_path, monkeypatch):
    with opened(tmp_path / "run") as run:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
        with run.child("finetune", tmp_path / "child", name="c", params={}, tags={}) as child:
            pass
    assert tracking.row(child.run_id).experiment_id == tracking.row(run.run_id).experiment_id


def test_a_run_that_raises_is_failed_and_the_next_one_goes_on(tmp_path):
    with pytest.raises(ValueError, match="too large"), opened(tmp_path / "run") as run:
        run.metrics({"loss": 1.0}, 1)
        raise ValueError("The batch is too large.")
    failed = tracking.row(run.run_id)
    assert failed.status == "FAILED" and failed.tags["iqa.reason"] == "The batch is too large."
    assert not tracking.is_finished(tmp_path / "run")

    with opened(tmp_path / "run") as again:
        assert again.resumed and again.run_id == run.run_id
        assert tracking.row(run.run_id).status == "RUNNING" and "iqa.reason" not in tracking.row(run.run_id).tags
        again.metrics({"loss": 1.5}, 1)
        again.metrics({"loss": 0.5}, 2)
    assert tracking.row(run.run_id).status == "FINISHED" and tracking.is_finished(tmp_path / "run")
    assert tracking.history(run.run_id, "loss") == [(1, 1.0), (2, 0.5)]


def test_continuing_under_mlflow_run_leaves_its_empty_run_out_of_the_tables(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "run") as run:
        raise KeyboardInterrupt
    empty = store.client().create_run(store.experiment_id("iqa"), run_name="funny-fish-7").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", empty)
    with opened(tmp_path / "run") as again:
        assert again.run_id == run.run_id and "MLFLOW_RUN_ID" not in os.environ
    tags = stored(empty).data.tags
    assert tags["iqa.continues"] == run.run_id and "a name" in tags["mlflow.runName"]
    assert stored(empty).info.status == "RUNNING"  # `mlflow run` ends it
    assert [row.run_id for row in tracking.rows()] == [run.run_id]


def test_mlflow_run_of_the_same_run_continues_it(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "run") as run:
        raise KeyboardInterrupt
    monkeypatch.setenv("MLFLOW_RUN_ID", run.run_id)
    with opened(tmp_path / "run") as again:
        assert again.run_id == run.run_id
    assert "iqa.continues" not in stored(run.run_id).data.tags


@pytest.mark.parametrize(
    ("error", "status", "tags"),
    [
        (None, "FINISHED", {}),
        (SystemExit(0), "FINISHED", {}),
        (SystemExit(2), "FAILED", {"iqa.reason": "SystemExit: 2"}),
        (ZeroDivisionError("by zero"), "FAILED", {"iqa.reason": "ZeroDivisionError: by zero"}),
        (KeyboardInterrupt(), "KILLED", {"iqa.reason": "Interrupted.", "iqa.stopped": "SIGINT"}),
    ],
)
def test_a_run_s_status_says_how_it_ended(error, status, tags):
    assert outcome(error) == (status, tags)


def test_a_run_that_was_stopped_is_killed_and_says_by_what(tmp_path):
    with pytest.raises(tracking.Stopped), opened(tmp_path / "run") as run:
        raise tracking.Stopped(signal.SIGTERM)
    row = tracking.row(run.run_id)
    assert row.status == "KILLED" and row.tags["iqa.stopped"] == "SIGTERM"


def test_a_run_that_is_stopped_while_it_opens_is_killed_and_its_folder_given_back(tmp_path, monkeypatch):
    def stopped():
        raise tracking.Stopped(signal.SIGTERM)

    with monkeypatch.context() as asked, pytest.raises(tracking.Stopped):
        asked.setattr(run_module, "reap", stopped)
        opened(tmp_path / "run").__enter__()
    (row,) = tracking.rows()
    assert row.status == "KILLED" and row.tags["iqa.stopped"] == "SIGTERM"
    with opened(tmp_path / "run") as again:
        assert again.run_id == row.run_id


def test_a_finished_folder_is_not_opened_again(tmp_path):
    with opened(tmp_path / "run"):
        pass
    with pytest.raises(ValueError, match="has finished"), opened(tmp_path / "run"):
        pass
    with pytest.raises(ValueError, match="has finished"), opened(tmp_path / "run"):
        pass  # and the refusal has let go of the lock


def test_a_finished_run_goes_on_where_that_is_asked_for_and_counts_its_openings(tmp_path):
    with opened(tmp_path / "run") as first:
        first.metrics({"headline": 1.0}, first.openings)
    with opened(tmp_path / "run", reopen=True) as second:
        assert second.run_id == first.run_id and not tracking.is_finished(tmp_path / "run")
        second.metrics({"headline": 2.0}, second.openings)
    assert tracking.history(first.run_id, "headline") == [(1, 1.0), (2, 2.0)]
    assert tracking.row(first.run_id).status == "FINISHED" and tracking.is_finished(tmp_path / "run")


def test_two_openings_of_one_folder_are_one_too_many(tmp_path):
    with opened(tmp_path / "run"), pytest.raises(tracking.Busy, match=f"process {os.getpid()}"):
        opened(tmp_path / "run").__enter__()


KILLED = """
import os, signal, sys
from pathlib import Path
from iqa import tracking
run = tracking.open_run("pretrain", Path(sys.argv[1]), name="n", params={"a": 1}, tags={}).__enter__()
for step in range(100):
    run.metrics({"loss": float(step)}, step)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_goes_on_in_the_same_run_and_the_console_was_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'new.db'}")  # its tables are made here
    command = [sys.executable, "-c", KILLED, tmp_path / "run"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, "", "")
    assert not (tmp_path / "mlruns").exists()  # which MLflow makes for a store of files
    (left,) = tracking.rows()
    assert left.status == "RUNNING"
    with opened(tmp_path / "run") as run:
        for step in range(90, 110):
            run.metrics({"loss": float(step)}, step)
    assert [row.run_id for row in tracking.rows()] == [left.run_id]
    assert tracking.history(left.run_id, "loss") == [(step, float(step)) for step in range(110)]


def test_silence_has_every_verb_of_a_run_and_writes_nothing(tmp_path):
    verbs = [name for name, _ in inspect.getmembers(tracking.Run) if not name.startswith("_") and name != "opening"]
    for name in verbs:
        loud, silent = getattr(tracking.Run, name), getattr(tracking.Silent, name)
        if callable(loud) and name != "child":
            assert inspect.signature(loud) == inspect.signature(silent), name
    with tracking.Silent(tmp_path) as run:
        run.metrics({"a": 1.0}, 1)
        assert run.model("m", tmp_path, {}, tmp_path) == "m" and run.stop_requested() == 0
        with run.child("finetune", tmp_path / "child", name="c", params={}, tags={}) as child:
            child.artifact(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_metric_names_are_what_mlflow_takes():
    assert metric_name("test/my set (2)/srcc") == "test/my set _2_/srcc"
    assert metric_name("test//srcc@1") == "test/srcc_1" and metric_name("val/ordering/jpeg") == "val/ordering/jpeg"


def test_the_heartbeat_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "HEARTBEAT", 0.0)
    with opened(tmp_path / "run") as run:
        arrived(lambda: "iqa.heartbeat" in stored(run.run_id).data.tags)
        store.client().set_tag(run.run_id, "iqa.heartbeat", "long ago")
        arrived(lambda: stored(run.run_id).data.tags["iqa.heartbeat"] != "long ago")
