import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.tracking import MlflowClient

from iqa import tracking
from iqa.tracking import run as run_module
from iqa.tracking import sending, shipping, store
from iqa.tracking.journal import Journal
from iqa.tracking.run import metric_name, outcome

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """A SQLite store of its own; its tables cost seconds, hence one for all tests."""
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture(autouse=True)
def home(database, tmp_path, monkeypatch):
    """An experiment for each test, and nothing from the shell around."""
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


def opened(folder, stage="pretrain", **more):
    about = {"name": "a name", "params": {"seed": 0, "optim.lr": 5e-05}, "tags": {"cell": "abc"}} | more
    return tracking.open_run(stage, folder, **about)


def stored(run_id):
    return store.client().get_run(run_id)


def arrived(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not arrive"
        time.sleep(0.02)


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


class Outage:
    """The database gone, and a folder in its place: nothing can open that as one."""

    def __init__(self, database):
        self.database, self.away = database, database.with_suffix(".away")

    def __enter__(self):
        self.database.rename(self.away)
        self.database.mkdir()

    def __exit__(self, *_):
        self.database.rmdir()
        self.away.rename(self.database)


def test_an_outage_amid_a_run_stops_nothing_and_loses_and_doubles_nothing(tmp_path, database, caplog, monkeypatch):
    monkeypatch.setattr(shipping, "LONGEST_PAUSE", 0.1)
    with opened(tmp_path / "run") as run:
        run.metrics({"loss": 0.0}, 0)
        arrived(lambda: tracking.history(run.run_id, "loss"))
        with Outage(database):
            for step in range(1, 200):
                run.metrics({"loss": float(step)}, step)
            arrived(lambda: "the run goes on" in caplog.text)
    assert tracking.history(run.run_id, "loss") == [(step, float(step)) for step in range(200)]
    assert caplog.text.count("the run goes on") == 1 and "answers again" in caplog.text
    assert tracking.row(run.run_id).status == "FINISHED"


def test_an_outage_at_the_end_keeps_everything_and_sync_sends_it(tmp_path, database, monkeypatch):
    monkeypatch.setattr(run_module, "PATIENCE", 0.3)
    folder = tmp_path / "run"
    with ExitStack() as outage, pytest.raises(tracking.Unshipped, match="sync") as unshipped, opened(folder) as run:
        arrived(lambda: "cfg.seed" in stored(run.run_id).data.params)
        outage.enter_context(Outage(database))
        run.metrics({"loss": 7.0}, 1)
    assert unshipped.value.exit_code == 75
    assert tracking.is_finished(folder)  # the work is done
    assert tracking.row(run.run_id).status == "RUNNING" and not tracking.row(run.run_id).metrics
    assert tracking.sync(folder) > 0
    assert tracking.row(run.run_id).status == "FINISHED" and tracking.row(run.run_id).metrics == {"loss": 7.0}
    assert tracking.sync(folder) == 0


def test_an_error_in_an_outage_is_not_hidden_by_it(tmp_path, database, monkeypatch):
    monkeypatch.setattr(run_module, "PATIENCE", 0.3)
    with ExitStack() as outage, pytest.raises(ZeroDivisionError), opened(tmp_path / "run"):
        outage.enter_context(Outage(database))
        raise ZeroDivisionError
    assert tracking.sync(tmp_path / "run") > 0
    assert [row.status for row in tracking.rows()] == ["FAILED"]


def test_an_artifact_store_that_fails_holds_up_no_metric(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "LONGEST_PAUSE", 0.1)
    where = tmp_path / "artifacts"
    where.write_text("a file where a folder should be")
    store.client().create_experiment(tmp_path.name, artifact_location=where.as_uri())
    with opened(tmp_path / "run") as run:
        run.metrics({"loss": 7.0}, 1)
        arrived(lambda: tracking.history(run.run_id, "loss"))
        where.unlink()
    assert tracking.fetch(run.run_id, "provenance/environment.txt").is_file()


def test_sending_everything_again_doubles_nothing(tmp_path):
    with opened(tmp_path / "run") as run:
        run.metrics({"loss": 1.0, "srcc": float("nan")}, 1)
        model = model_of(run, "m", {})
        run.dataset("sample", "d" * 32, "/data", "training", {})
        run.model_metrics(model, {"loss": 1.0}, "sample", "d" * 32, 1)
    before = snapshot(run.run_id)
    (tmp_path / "run" / "shipped.json").unlink()
    assert tracking.sync(tmp_path / "run") > 0
    assert snapshot(run.run_id) == before


def snapshot(run_id):
    """Everything of a run that could be doubled."""
    run, client = stored(run_id), store.client()
    rows = {key: [str(vars(one)) for one in client.get_metric_history(run_id, key)] for key in run.data.metrics}
    models = client.search_logged_models([run.info.experiment_id])
    values = [[(one.key, one.value, one.timestamp) for one in model.metrics] for model in models]
    return rows, run.data.params, run.data.tags, run.info.end_time, len(run.inputs.dataset_inputs), values


def folder_with_a_file(run_folder):
    folder = run_folder / "model"
    folder.mkdir()
    (folder / "state.json").write_text("{}")
    return folder


def model_of(run, name, params):
    """A LoggedModel of one file, served by the product's own code."""
    return run.model(name, folder_with_a_file(run.folder), params, ROOT / "iqa" / "served.py")


def test_a_model_s_metrics_are_tied_to_it_and_to_the_data_set(tmp_path):
    with opened(tmp_path / "run") as run:
        run.dataset("sample", "d" * 32, "/data", "testing", {})
        model = model_of(run, "sample-0: best", {"seed": 0})
        run.metrics({"test/sample/srcc": 0.9, "test/sample/plcc": float("nan")}, 3)
        run.model_metrics(model, {"test/sample/srcc": 0.9, "test/sample/plcc": float("nan")}, "sample", "d" * 32, 3)
    where = [tracking.row(run.run_id).experiment_id]
    (found,) = store.client().search_logged_models(
        where, datasets=[{"dataset_name": "sample", "dataset_digest": "d" * 32}]
    )
    assert found.name == "sample-0- best" and found.params == {"seed": "0"} and str(found.status) == "READY"
    assert [(one.key, one.value) for one in found.metrics] == [("test/sample/srcc", 0.9)]  # MLflow would make nan 0
    assert tracking.row(run.run_id).tags["iqa.model"] == found.model_id
    assert len(store.client().get_metric_history(run.run_id, "test/sample/srcc")) == 1
    files = {path.relative_to(place).as_posix() for place in [place_of(found)] for path in place.rglob("*")}
    assert {"MLmodel", "served.py", "requirements.txt", "artifacts/model/state.json"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".pth", ".pt2"))]


def test_a_model_s_name_tells_the_arm_and_the_fold(tmp_path):
    with opened(tmp_path / "run", tags={"arm": "pretrained", "fold": "2"}) as run:
        assert model_of(run, "clive-0", {}) == "pretrained-clive-0-fold2"


def test_a_kill_between_a_model_and_its_link_to_the_run_is_made_up_for(tmp_path, monkeypatch):
    def killed(*_):
        raise OSError("killed here")

    monkeypatch.setattr(run_module, "PATIENCE", 0.1)
    with pytest.MonkeyPatch.context() as patched, pytest.raises(tracking.Unshipped), opened(tmp_path / "run") as run:
        patched.setattr(MlflowClient, "log_outputs", killed)
        model_of(run, "sample-0", {})
    tracking.sync(tmp_path / "run")
    tracking.sync(tmp_path / "run")
    linked = [one.model_id for one in stored(run.run_id).outputs.model_outputs]
    assert linked == [tracking.row(run.run_id).tags["iqa.model"]]


def place_of(model):
    return Path(urlsplit(model.artifact_location).path)


def test_what_mlflow_refuses_is_said_and_holds_up_nothing_else(tmp_path, caplog):
    with opened(tmp_path / "run") as run:
        run.tags({"before": "1"})
        run.tags({"k" * 300: "a key that is too long"})
        run.tags({"after": "2"})
        run.metrics({"k" * 300: 1.0, "loss": 2.0}, 1)  # one value of a record is refused, and not the others
    row = tracking.row(run.run_id)
    assert row.tags["before"] == "1" and row.tags["after"] == "2" and "MLflow refuses" in caplog.text
    assert row.metrics == {"loss": 2.0}


def test_a_400_of_something_in_between_is_an_outage_and_no_refusal(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "LONGEST_PAUSE", 0.1)
    asked, log_batch = [], MlflowClient.log_batch

    def through_a_proxy(*given, **named):
        asked.extend(named.get("metrics", ()))
        if "metrics" in named and len(asked) < 3:
            raise MlflowException("Response body: '<html>Bad Request</html>'", error_code=BAD_REQUEST)
        return log_batch(*given, **named)

    monkeypatch.setattr(MlflowClient, "log_batch", through_a_proxy)
    with opened(tmp_path / "run") as run:
        run.metrics({"loss": 7.0}, 1)
    assert tracking.history(run.run_id, "loss") == [(1, 7.0)]


def test_what_is_sent_is_on_the_disk_before(tmp_path, monkeypatch):
    """A power failure would else take what the store has from the journal, and it would be written a second time."""
    synced, sent, sync, send = [], [], Journal.sync, sending.Sender.send
    monkeypatch.setattr(Journal, "sync", lambda self: (synced.append(self.size), sync(self))[1])
    monkeypatch.setattr(
        sending.Sender, "send", lambda self, batch: (sent.append((batch[0], synced[-1])), send(self, batch))[1]
    )
    with opened(tmp_path / "run") as run:
        run.metrics({"loss": 7.0}, 1)
        arrived(lambda: tracking.history(run.run_id, "loss"))
    ends = {json.dumps(entry): end for entry, end in Journal(tmp_path / "run").read(0)}
    assert sent and all(ends[json.dumps(entry)] <= safe for entry, safe in sent)


def test_a_run_deleted_under_way_ends_unshipped_and_comes_back_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "PATIENCE", 0.3)
    with pytest.raises(tracking.Unshipped, match="deleted|gone"), opened(tmp_path / "run") as run:
        store.client().delete_run(run.run_id)
        run.metrics({"loss": 7.0}, 1)
    store.client().restore_run(run.run_id)
    tracking.sync(tmp_path / "run")
    assert tracking.row(run.run_id).metrics == {"loss": 7.0} and tracking.row(run.run_id).status == "FINISHED"


def test_a_store_that_lost_the_run_gets_all_of_it_again(tmp_path):
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "run") as run:
        run.metrics({"loss": 7.0}, 1)
        raise KeyboardInterrupt
    store.client().delete_run(run.run_id)
    with opened(tmp_path / "run") as again:
        assert again.run_id != run.run_id and again.resumed
    row = tracking.row(again.run_id)
    assert row.metrics == {"loss": 7.0} and row.params["seed"] == "0" and row.status == "FINISHED"


def test_a_kill_between_creating_a_run_and_noting_it_leaves_one_run(tmp_path):
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "run") as run:
        raise KeyboardInterrupt
    journal = tmp_path / "run" / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    (tmp_path / "run" / "shipped.json").unlink()
    with opened(tmp_path / "run") as again:
        assert again.run_id == run.run_id
    assert [row.status for row in tracking.rows()] == ["FINISHED"]


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


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_a_store_that_does_not_answer_is_one_sentence_at_the_start(tmp_path, monkeypatch, scheme):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:secret@127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(tracking.StoreError, match="does not answer.*MLFLOW_TRACKING_URI") as refused:
        opened(tmp_path / "run").__enter__()
    assert time.monotonic() - began < 10 and "secret" not in str(refused.value)
    with pytest.raises(tracking.StoreError):  # the lock was given back
        opened(tmp_path / "run").__enter__()


def test_rows_are_ours_newest_first_and_filtered_by_the_store(tmp_path):
    made = []
    for seed in range(3):
        with opened(tmp_path / str(seed), tags={"seed": seed}) as run:
            made.append(run.run_id)
        time.sleep(0.005)
    store.client().create_run(store.experiment_id("iqa"), run_name="somebody's")
    assert [row.run_id for row in tracking.rows()] == made[::-1]
    assert [row.run_id for row in tracking.rows(status="FINISHED", tags={"seed": "1"})] == [made[1]]


def test_rows_of_mlflow_s_default_experiment_are_found_beside_ours(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    assert store.home_experiments("nobody's") == ["0"]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")  # as `mlflow run` sets it
    own = store.client().create_experiment(tmp_path.name)
    assert store.home_experiments(tmp_path.name) == [own, "0"]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "17")
    assert store.home_experiments(tmp_path.name) == ["17"]


def test_a_deleted_experiment_is_named_with_the_way_back(monkeypatch):
    identity = store.experiment_id("iqa")
    store.client().delete_experiment(identity)
    with pytest.raises(tracking.StoreError, match=f"restore -x {identity}"):
        store.experiment_id("iqa")


def test_what_is_not_there_is_named_with_what_is(tmp_path):
    with opened(tmp_path / "run") as run:
        pass
    with pytest.raises(tracking.StoreError, match="no artifact 'encoder': it has provenance"):
        tracking.resolve(f"runs:/{run.run_id}/encoder")
    with pytest.raises(tracking.StoreError, match="has no run"):
        tracking.resolve("runs:/0123456789abcdef0123456789abcdef/encoder")
    with pytest.raises(ValueError, match="runs:/ID/encoder"):
        tracking.resolve("runs:/0123456789abcdef0123456789abcdef")
    assert tracking.resolve("bundled") == Path("bundled")


def test_a_remote_artifact_is_copied_once_and_whole(tmp_path, monkeypatch):
    where = tmp_path / "remote"
    scheme = "file://localhost"  # MLflow takes it for local, we for a machine away
    store.client().create_experiment(tmp_path.name, artifact_location=f"{scheme}{where}")
    monkeypatch.setattr("iqa.tracking.reading.LOCAL_SCHEMES", ())
    with opened(tmp_path / "run") as run:
        folder = folder_with_a_file(tmp_path / "run")
        (folder / "more.json").write_text("{}")
        run.artifact(folder)
    part = tracking.fetch(run.run_id, "model/state.json")
    assert part.read_text() == "{}" and not (part.parent / "more.json").exists()
    kept = tracking.fetch(run.run_id, "model")
    assert (kept / "more.json").exists(), "a part that was there before is taken for the whole"
    assert (tracking.fetch(run.run_id, "") / "model" / "more.json").exists()
    assert kept.is_relative_to(tmp_path / "cache") and (kept / "state.json").read_text() == "{}"
    with pytest.raises(tracking.StoreError, match="no artifact 'other'"):
        tracking.fetch(run.run_id, "other")
    monkeypatch.setattr("iqa.tracking.reading._download", lambda *_: pytest.fail("it is copied again"))
    assert tracking.fetch(run.run_id, "model") == kept
    assert [path.name for path in (tmp_path / "cache" / "artifacts").iterdir()] == [run.run_id]


def test_addresses_lead_to_mlflow_s_pages(tmp_path, monkeypatch):
    with opened(tmp_path / "run") as run:
        pass
    page = tracking.compare_url([run.run_id])
    base, _, query = page.partition("/#/compare-runs?")
    asked = parse_qs(query)
    assert base == "http://127.0.0.1:5000" and json.loads(asked["runs"][0]) == [run.run_id]
    assert json.loads(asked["experiments"][0]) == [tracking.row(run.run_id).experiment_id]
    curves = parse_qs(tracking.compare_url([run.run_id], ["val/srcc"]).partition("?")[2])
    assert json.loads(curves["plot_metric_keys"][0]) == ["val/srcc"]
    address, _, mode = tracking.url(run.run_id).partition("?")
    assert address.endswith(f"/runs/{run.run_id}") and mode == "workflowType=machine_learning"
    assert curves["workflowType"] == asked["workflowType"] == ["machine_learning"], "MLflow opens for language models"


def test_where_to_look_names_the_command_only_where_no_server_runs(tmp_path, monkeypatch):
    with opened(tmp_path / "run") as run:
        pass
    row = tracking.row(run.run_id)
    table = f"/#/experiments/{row.experiment_id}/runs?workflowType=machine_learning"
    assert tracking.look(row) == f"mlflow ui, then open http://127.0.0.1:5000{table}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://team.example/")
    assert tracking.look(row) == f"open https://team.example{table}"


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


def test_tracking_is_imported_without_mlflow():
    code = "import sys, iqa.tracking; sys.exit(bool({'mlflow', 'torch', 'filelock'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_heartbeat_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "HEARTBEAT", 0.0)
    with opened(tmp_path / "run") as run:
        arrived(lambda: "iqa.heartbeat" in stored(run.run_id).data.tags)
        store.client().set_tag(run.run_id, "iqa.heartbeat", "long ago")
        arrived(lambda: stored(run.run_id).data.tags["iqa.heartbeat"] != "long ago")


def test_the_tables_of_a_new_store_are_made_by_one_process_at_a_time(tmp_path, monkeypatch):
    database = tmp_path / "new" / "mlflow.db"
    database.parent.mkdir()
    store.client()  # what is imported for it is there when the clock runs
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    asked = threading.Thread(target=store.client)
    with FileLock(f"{database}.lock"):
        asked.start()
        asked.join(3)
        assert asked.is_alive() and not database.exists(), "it does not wait for who makes them"
    asked.join(60)
    assert database.stat().st_size > 0
