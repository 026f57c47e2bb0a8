"""Asking the store: rows, artifacts, addresses."""

import json
import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from mlflow.exceptions import MlflowException
from tracking_toy import folder_with_a_file, opened

from iqa import tracking
from iqa.tracking import RunRow, reading, shipping, store


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    """A working directory and an experiment of its own, and no pauses."""
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


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


def test_a_run_is_named_by_its_id_by_the_first_digits_of_it_or_by_its_experiment(tmp_path):
    made = []
    for number, stage in enumerate(["experiment", "experiment", "finetune"]):
        with opened(tmp_path / str(number), stage=stage, name="toy") as run:
            made.append(run.run_id)
        time.sleep(0.005)
    assert reading.named(made[0]).run_id == reading.named(made[0][:8]).run_id == made[0]
    assert reading.named("toy").run_id == made[1], "the newest of the experiment, not a step of this name"
    for text in ("toys", made[0][:7], "0" * 31):
        with pytest.raises(tracking.StoreError, match=f"begins with '{text}', and no finished experiment"):
            reading.named(text)


def test_digits_that_several_ids_begin_with_are_refused(monkeypatch):
    two = [RunRow("01234567" + end * 24, "", "FINISHED", {}, {"stage": "x"}, {}, 0, 1, "0", "") for end in "ab"]
    monkeypatch.setattr(reading, "rows", lambda: two)
    assert reading.named("01234567a") == two[0]
    with pytest.raises(tracking.StoreError, match="2 runs have an id that begins with 01234567: give more digits"):
        reading.named("01234567")


def test_a_folder_that_was_moved_leaves_a_sentence_and_a_link_in_its_place_mends_it(tmp_path):
    with opened(tmp_path / "run") as run:
        run.artifact(folder_with_a_file(run.folder))
    lies = Path(reading.row(run.run_id).artifacts.removeprefix("file://"))
    left = tmp_path / "left"  # where the store would say that it lies, had its folder been moved
    said = str(left / lies.relative_to(lies.parents[1]))
    with pytest.raises(tracking.StoreError, match=f"in {left}, which is not there; .*ln -s WHERE-IT-IS {left}"):
        reading.located(run.run_id, said, "model")
    left.symlink_to(lies.parents[1])
    assert (reading.located(run.run_id, said, "model") / "state.json").exists()


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


@pytest.mark.parametrize("path", ["model", "model/state.json", ""])
def test_a_store_that_goes_away_amid_a_download_is_waited_for_and_the_artifact_is_not_called_missing(
    path, tmp_path, monkeypatch
):
    store.client().create_experiment(tmp_path.name, artifact_location=f"file://localhost{tmp_path / 'remote'}")
    monkeypatch.setattr("iqa.tracking.reading.LOCAL_SCHEMES", ())
    monkeypatch.setattr("iqa.tracking.patience.PAUSES", (0.01, 0.02))
    with opened(tmp_path / "run") as run:
        run.artifact(folder_with_a_file(tmp_path / "run"))
    download, failures = store.client().download_artifacts, [MlflowException("connection refused")]

    def sometimes(*words):
        if failures:
            raise failures.pop()
        return download(*words)

    monkeypatch.setattr(store.client(), "download_artifacts", sometimes)
    tracking.expect_store()
    assert tracking.fetch(run.run_id, path).exists() and not failures


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
