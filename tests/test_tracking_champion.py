"""The registered model: when a run's model becomes the champion, and that it does so once, whatever is killed."""

import json

import pytest

from iqa import tracking
from iqa.tracking import champion, shipping, store
from iqa.tracking.champion import Result

DATA = ("d" * 32, "random-60-20-20")


@pytest.fixture(autouse=True)
def registry(home, monkeypatch):
    """A registered model of this test's own, and a file that stands for the code that serves it."""
    monkeypatch.setattr(champion, "NAME", home.name)
    monkeypatch.setattr(champion, "URI", f"models:/{home.name}@champion")
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)
    monkeypatch.setattr("iqa.tracking.serving.upload", lambda *_: None)  # tests/test_served.py is about that
    (home / "served.py").write_text("")
    return home


def finished(home, name, srcc, *, preset="laptop", digest=DATA[0], protocol=DATA[1]):
    """The id of a finished run that offered its model."""
    about = {"name": name, "params": {}, "tags": {"preset": preset, "cell": name}}
    with tracking.open_run("finetune", home / "runs" / name, **about) as run:
        folder = run.folder / "model"
        folder.mkdir()
        (folder / "state.json").write_text(name)
        run.artifact(folder)
        run.metrics({"best/val_srcc": srcc}, 1)
        run.tags({"validation": f"{protocol} {digest}"})
        run.candidate(run.model("m", folder, {}, home / "served.py"), srcc, digest, protocol)
    return run.run_id


def register(run):
    """What MLflow's own register_model does, and the alias set by hand."""
    client, model = store.client(), tracking.logged_model(run)
    client.create_registered_model(champion.NAME)
    client.create_model_version(champion.NAME, f"models:/{model}", None, model_id=model)
    client.set_registered_model_alias(champion.NAME, champion.ALIAS, "1")


def present():
    held = champion.present()
    return held and held.run_id


def versions():
    return [one.run_id for one in store.client().search_model_versions(f"name = '{champion.NAME}'")][::-1]


def test_the_first_model_is_registered_and_carries_what_it_was_selected_by(home):
    run = finished(home, "a", 0.5)
    held = champion.present()
    assert held.run_id == run and held.tags.items() >= {
        "validation.srcc": "0.5", "validation.digest": DATA[0], "validation.protocol": DATA[1]
    }.items()  # fmt: skip
    assert held.source == f"models:/{tracking.logged_model(run)}"


def test_only_a_better_one_on_the_same_validation_data_takes_its_place(home):
    first = finished(home, "a", 0.5)
    finished(home, "worse", 0.4)
    finished(home, "equal", 0.5)
    finished(home, "other pictures", 0.9, digest="e" * 32)
    finished(home, "other protocol", 0.9, protocol="random-80-20")
    assert present() == first and versions() == [first]
    better = finished(home, "better", 0.6)
    assert present() == better and versions() == [first, better]


@pytest.mark.parametrize("preset", ["demo", "smoke", "somewhere/demo.yaml"])
def test_demo_and_smoke_never_leave_one(preset, home):
    finished(home, "a", 0.9, preset=preset)
    assert present() is None and versions() == []


def test_an_undefined_result_never_leaves_one(home):
    finished(home, "a", float("nan"))
    assert present() is None


@pytest.mark.parametrize(
    ("mine", "other", "better"),
    [
        (Result(0.6, *DATA), Result(0.5, *DATA), True),
        (Result(0.5, *DATA), Result(0.5, *DATA), False),
        (Result(0.6, "e", DATA[1]), Result(0.5, *DATA), False),
        (Result(0.6, DATA[0], "kfold-5"), Result(0.5, *DATA), False),
        (Result(0.6, *DATA), None, False),
    ],
)
def test_what_was_validated_otherwise_is_not_compared(mine, other, better):
    assert mine.beats(other) is better


def test_offering_again_changes_nothing(home):
    run = finished(home, "a", 0.5)
    for _ in range(2):
        champion.stand(run, tracking.logged_model(run), Result(0.5, *DATA))
    assert versions() == [run] and present() == run


def test_a_kill_between_the_registration_and_the_alias_is_made_up_for(home, monkeypatch):
    run = finished(home, "a", 0.5)
    store.client().delete_registered_model_alias(champion.NAME, champion.ALIAS)
    assert present() is None
    champion.stand(run, tracking.logged_model(run), Result(0.5, *DATA))
    assert versions() == [run] and present() == run


def test_a_champion_that_a_person_chose_stays_until_a_better_one_comes(home):
    first, second = finished(home, "a", 0.5), finished(home, "b", 0.7)
    store.client().set_registered_model_alias(champion.NAME, champion.ALIAS, "1")
    finished(home, "c", 0.45)
    assert present() == first
    third = finished(home, "d", 0.6)
    assert present() == third and versions() == [first, second, third]


def test_a_version_that_does_not_say_what_it_was_selected_by_stays(home):
    register(finished(home, "somebody's", 0.5, preset="demo"))
    finished(home, "a", 0.9)
    assert str(champion.present().version) == "1"


def test_a_model_that_a_person_registered_is_found_by_its_logged_model(home):
    run = finished(home, "a", 0.5, preset="demo")
    register(run)
    assert (tracking.resolve(champion.URI) / "state.json").read_text() == "a"
    assert tracking.best_model()[0] == f"runs:/{run}/model"


def test_offline_nothing_is_registered_until_the_run_is_sent(home, monkeypatch):
    monkeypatch.setenv("IQA_OFFLINE", "true")
    finished(home, "a", 0.5)
    monkeypatch.delenv("IQA_OFFLINE")
    assert present() is None
    tracking.sync(home / "runs" / "a")
    assert versions() == [present()] and tracking.row(present()).name == "a"


def test_a_registry_that_is_closed_to_us_keeps_no_run_from_being_sent(home, monkeypatch, caplog):
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    def closed(*_, **__):
        raise MlflowException("Not for you.", PERMISSION_DENIED)

    monkeypatch.setattr(champion, "present", closed)
    finished(home, "a", 0.5)
    assert "not offered to the registry, which refuses it: Not for you." in caplog.text


def test_a_journal_of_an_earlier_version_is_still_sent(home):
    finished(home, "a", 0.5, preset="demo")
    journal = home / "runs" / "a" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        line.pop("code", None)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (home / "runs" / "a" / "shipped.json").unlink()
    assert tracking.sync(home / "runs" / "a") > 0
    model = tracking.logged_model(tracking.rows()[0].run_id)
    assert [one.path for one in store.client().list_logged_model_artifacts(model)] == ["state.json"]


def test_a_model_of_the_registry_is_found_by_alias_version_and_id(home):
    run = finished(home, "a", 0.5)
    for where in (champion.URI, f"models:/{champion.NAME}/1", f"models:/{tracking.logged_model(run)}"):
        assert (tracking.resolve(where) / "state.json").read_text() == "a"


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("models:/nothing@champion", "has no model models:/nothing@champion: check its name"),
        ("models:/nothing/7", "has no model models:/nothing/7"),
        ("models:/m-0123", "has no model models:/m-0123"),
        ("models:/nothing", "names no model: write models:/"),
        ("models:/a/b/c", "names no model"),
    ],
)
def test_a_model_that_is_not_there_is_one_sentence(where, sentence):
    with pytest.raises(tracking.StoreError, match=sentence):
        tracking.resolve(where)


def test_without_a_champion_yet_the_sentence_says_why(home):
    with pytest.raises(tracking.StoreError, match="no run of another preset than demo and smoke has finished here yet"):
        tracking.resolve(champion.URI)


def test_where_no_model_is_named_the_champion_is_taken(home):
    run = finished(home, "a", 0.5)
    finished(home, "newer", 0.4)
    assert tracking.best_model() == (f"runs:/{run}/model", f"the champion, version 1 of {champion.NAME}")


@pytest.mark.parametrize("offline", [False, True])
def test_after_a_demo_the_best_run_on_the_newest_one_s_data_is_taken(offline, home, monkeypatch):
    if offline:
        monkeypatch.setenv("IQA_OFFLINE", "true")
    finished(home, "other data", 0.9, preset="demo", digest="e" * 32)
    best = finished(home, "best", 0.6, preset="demo")
    finished(home, "undefined", float("nan"), preset="demo")
    finished(home, "newest", 0.5, preset="demo")
    where, said = tracking.best_model()
    assert where == f"runs:/{best}/model" and said.startswith("best, the best of 3 finished here")


def test_without_any_model_the_sentence_says_how_to_get_one():
    with pytest.raises(tracking.StoreError, match="run `iqa finetune` or `iqa main` first"):
        tracking.best_model()
