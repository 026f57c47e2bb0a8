"""What may go from run folders, and above all what may not."""

import pytest

from entrypoints import clean
from iqa import tracking
from iqa.experiment.cleaning import Kept, survey
from iqa.tracking import shipping, store


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    monkeypatch.setenv("IQA_OFFLINE", "")
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


def opened(name):
    return tracking.open_run("finetune", tracking.runs_folder() / name, name=name, params={}, tags={})


def worked(run, size=1000):
    """Leave what a training stage leaves."""
    for name in ("checkpoints/step-000000001", "checkpoints/.tmp-step-000000002-ab", "best/step-000000001", "model"):
        (run.folder / name).mkdir(parents=True)
        (run.folder / name / "tensors.safetensors").write_bytes(bytes(size))
    run.artifact(run.folder / "model", "model")


def names(folder):
    return {path.name for path in folder.iterdir() if path.is_dir()}


def listed(remove=False):
    return {(one.folder.as_posix(), one.why.split(":")[0]): one for one in survey(remove)}


def test_a_finished_run_spares_its_checkpoints_and_what_the_store_has_too():
    with opened("a/1") as run:
        worked(run)
    folder = run.folder.as_posix()
    found = listed()
    assert found[folder, "it has finished"].size == 3000  # a checkpoint, its temporary one, the best
    assert found[folder, "left by a killed process"].size == 1000
    copies = found[folder, "the store has the same files"].paths
    assert run.folder / "model" in copies and names(run.folder) == {"checkpoints", "best", "model"}
    listed(remove=True)
    assert names(run.folder) == set() and tracking.is_finished(run.folder)
    assert (tracking.fetch(run.run_id, "model") / "tensors.safetensors").stat().st_size == 1000
    assert not listed()


def test_nothing_goes_of_a_run_whose_journal_is_damaged_and_the_others_are_listed():
    for name in ("a/1", "b/1"):
        with opened(name) as run:
            worked(run)
    file = tracking.runs_folder() / "a/1" / "journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"?\n", *lines[2:]]))
    found = list(survey(remove=True))
    kept = [one for one in found if isinstance(one, Kept)]
    assert ["line 3 is no entry" in one.why for one in kept] == [True]
    assert names(tracking.runs_folder() / "a/1") >= {"checkpoints", "best", "model"} and not names(run.folder)


def test_nothing_goes_of_a_run_that_the_store_has_no_more():
    with opened("a/1") as run:
        worked(run)
    store.client().delete_run(run.run_id)
    kept = [one for one in survey(remove=True) if isinstance(one, Kept)]
    assert [one.why for one in kept] == ["the store has no run of it any more: this is all there is"]
    assert names(run.folder) == {"checkpoints", "best", "model"}


def test_what_the_store_has_in_another_size_or_not_at_all_is_no_copy():
    with opened("a/1") as run:
        worked(run)
    (run.folder / "model" / "tensors.safetensors").write_bytes(bytes(5))
    (run.folder / "model" / "more").write_bytes(bytes(5))
    copies = listed()[run.folder.as_posix(), "the store has the same files"].paths
    assert run.folder / "model" not in copies


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_unfinished_run_keeps_its_checkpoints(error):
    with pytest.raises(error), opened("a/1") as run:
        worked(run)
        raise error
    found = listed(remove=True)
    assert isinstance(found[run.folder.as_posix(), "it has not finished, and goes on from its checkpoints"], Kept)
    assert names(run.folder) == {"checkpoints", "best", "model"}
    assert names(run.folder / "checkpoints") == {"step-000000001"}  # the temporary one was nobody's


def test_an_attempt_that_a_finished_one_came_after_spares_its_checkpoints():
    with pytest.raises(KeyboardInterrupt), opened("a/1") as first:
        worked(first)
        raise KeyboardInterrupt
    with opened("a/2"):
        pass
    listed(remove=True)
    assert names(first.folder) == {"model"}


def test_a_run_that_the_store_lacks_something_of_keeps_all(monkeypatch):
    monkeypatch.setenv("IQA_OFFLINE", "true")
    with opened("a/1") as run:
        worked(run)
    monkeypatch.setenv("IQA_OFFLINE", "")
    said = [one.why for one in survey(remove=True) if isinstance(one, Kept)]
    assert len(said) == 1 and "iqa sync" in said[0] and names(run.folder) == {"checkpoints", "best", "model"}


def test_a_run_that_is_computed_keeps_all():
    with opened("a/1") as run:
        worked(run)
        assert [(one.folder, one.why) for one in survey(remove=True)] == [(run.folder, "in use, or another user's")]
    assert names(run.folder) == {"checkpoints", "best", "model"}


def test_the_command_shows_first_and_removes_only_when_told(capsys):
    with opened("a/1") as run:
        worked(run, 2_000_000)
    assert clean.main([]) == 0
    out = capsys.readouterr().out
    assert "  6.0 MB  runs/a/1: checkpoints, best (it has finished" in out and "nothing was removed" in out
    assert names(run.folder) == {"checkpoints", "best", "model"}
    assert clean.main(["--yes=true", "--offline=true"]) == 0
    assert "removed" in capsys.readouterr().out and names(run.folder) == {"model"}
    assert clean.main(["--yes=perhaps"]) == 2 and clean.main(["--force=true"]) == 2


def test_the_command_ends_runs_that_were_left_behind():
    tags = {"stage": "pretrain", "iqa.heartbeat": "1"}
    gone = store.client().create_run(store.experiment_id("iqa"), tags=tags, run_name="far").info.run_id
    assert clean.main([]) == 0
    assert tracking.row(gone).status == "KILLED"
