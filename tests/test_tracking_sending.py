"""What reaches the store, whatever happens on the way: outages, refusals, kills."""

import json
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.tracking import MlflowClient
from tracking_toy import Outage, arrived, folder_with_a_file, opened, stored

from iqa import disk, tracking
from iqa.tracking import run as run_module
from iqa.tracking import sending, shipping, store
from iqa.tracking.journal import Journal

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    """A working directory and an experiment of its own, and no pauses."""
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


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
    assert caplog.text.count("the run goes on") == 1 and "works again" in caplog.text
    assert tracking.row(run.run_id).status == "FINISHED"


def test_a_cache_that_takes_nothing_for_a_while_ends_no_shipping(tmp_path, monkeypatch, caplog):
    ship, refused = shipping.ship, []

    def refusing(journal, position):
        if len(refused) < 2:
            refused.append(position)
            raise disk.CacheError("The cache is full: make room.")
        ship(journal, position)

    monkeypatch.setattr(shipping, "ship", refusing)
    with opened(tmp_path / "run") as run:
        run.metrics({"loss": 0.5}, 0)
    assert len(refused) == 2 and "The cache is full" in caplog.text
    assert tracking.row(run.run_id).status == "FINISHED" and tracking.history(run.run_id, "loss") == [(0, 0.5)]


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
