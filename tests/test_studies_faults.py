"""What a study goes on after: a full disk, a store away, leaders that are gone; and that it takes nobody's runs."""

import errno
import threading
import time
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from study_left import NAME, kept, runs, states
from tracking_toy import Outage, arrived

from benchmarks import study_toy
from iqa import checkpoint, config, disk, experiment, tracking
from iqa.experiment import cells
from iqa.tracking import lock, patience, shipping
from iqa.tracking import run as run_module
from studies.search import claims, database, leading, steps, worker


def refused(place):
    raise OSError(errno.ENOSPC, "No space left on device", str(place / "predictions.csv"))


def cached(place):
    with disk.cached(place):
        refused(place)


def saved(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "_write_files", lambda *_: refused(place))
        checkpoint.write(place / "checkpoints" / "step-000000001", {}, kind="training")


def toy(monkeypatch, fault):
    """A fine-tuning that meets with something in its second epoch."""

    def finetune(config, run):
        for record in study_toy.finetune(config, run):
            if record["epoch"] == 2:
                fault(run.folder)
            yield record

    monkeypatch.setattr(cells, "stage_of", {"finetune": finetune}.__getitem__)


@pytest.mark.parametrize("fault", [refused, cached, saved])
def test_a_disk_that_takes_no_more_costs_no_trial_and_the_same_command_goes_on(fault, toys, home, monkeypatch, capsys):
    with monkeypatch.context() as full:
        toy(full, fault)
        assert toys("--trials=1") == 2
    assert "bytes are free there" in capsys.readouterr().err and states(home) == ["FAIL", "WAITING"]
    assert toys("--trials=1") == 0 and states(home) == ["FAIL", "COMPLETE"]
    assert [note["epoch"] for note in study_toy.notes()] == [1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    "fault",
    [
        lambda place: checkpoint.read(place / "none", kind="encoder"),
        lambda place: (place / "none").read_bytes(),
        lambda place: config.load("finetune", {"epochs": "-1"}, "smoke"),
    ],
    ids=["checkpoint", "file", "config"],
)
def test_a_trial_whose_own_inputs_are_broken_fails(fault, toys, home, monkeypatch):
    toy(monkeypatch, fault)
    assert toys("--trials=1") == 2 and states(home) == ["FAIL"]


@pytest.fixture
def outage(database, monkeypatch):
    """Has the store go away, once, as the run of a stage ends: for some seconds, or until what this gives is left.

    Every patience with a store is as short as can be, but for how long an outage may last.
    """
    monkeypatch.setattr(run_module, "PATIENCE", 0.1)
    monkeypatch.setattr(run_module, "STOPPED_PATIENCE", 0.1)
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)
    monkeypatch.setattr(shipping, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(patience, "PAUSES", (0.05, 0.1))
    end, gone = tracking.Run._end, []

    def begin(stage, seconds=0.0):
        away = Outage(database)

        def ended(run, *words):
            if run.opening.stage == stage and not gone:
                arrived(lambda: not run._shipper.left())
                gone.append(away)
                away.__enter__()
                if seconds:
                    threading.Timer(seconds, away.__exit__).start()
            return end(run, *words)

        monkeypatch.setattr(tracking.Run, "_end", ended)
        return away

    yield begin
    for away in gone:
        if away.away.exists():
            away.__exit__()


@pytest.mark.parametrize("stage", ["finetune", "trial"])
def test_a_store_that_is_away_as_a_run_ends_is_waited_for_and_nothing_is_computed_twice(stage, outage, toys, home):
    outage(stage, seconds=1)
    assert toys("--trials=2", "--pruner=none") == 0 and states(home) == ["COMPLETE"] * 2
    assert len(study_toy.notes()) == 8 and {row.status for row in tracking.rows()} == {"FINISHED"}
    assert [step for step, _ in tracking.history(runs("trial")[0].run_id, "val/srcc")] == [1, 2, 3, 4]


@pytest.mark.parametrize("stage", ["finetune", "trial"])
def test_a_store_that_is_away_as_a_trial_is_pruned_is_waited_for_too(stage, outage, toys, home, monkeypatch):
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number == 0)
    outage(stage, seconds=1)
    assert toys("--trials=2") == 0 and states(home) == ["PRUNED", "COMPLETE"]
    ended = [(row.status, row.tags.get("iqa.reason", "")) for row in [*runs("trial"), *runs("finetune")]]
    assert sorted(ended) == [("FINISHED", "")] * 2 + [("KILLED", "Its study closed it before its end.")] * 2


def test_a_step_that_could_not_be_sent_ends_no_trial_as_if_it_were_complete(outage, toys, home, monkeypatch):
    outage("finetune", seconds=1)
    with monkeypatch.context() as first:
        first.setattr(steps.tracking, "sync_patiently", refusing(tracking.sync_patiently))
        assert toys("--trials=1") == 75 and states(home) == ["FAIL", "WAITING"]
    assert toys("--trials=1") == 0 and states(home) == ["FAIL", "COMPLETE"]
    assert len(study_toy.notes()) == 4


def refusing(send):
    """A store that does not like what it is sent for the first time, and takes it from then on."""
    asked = []

    def sent(folder):
        asked.append(folder)
        if len(asked) == 1:
            raise tracking.Unshipped(folder, 1, "not now")
        return send(folder)

    return sent


def test_a_step_that_was_done_before_its_store_came_back_is_sent_by_the_same_command(
    outage, toys, home, monkeypatch, capsys
):
    away = outage("finetune")
    with monkeypatch.context() as short:
        short.setattr(patience, "OUTAGE", 0.5)
        assert toys("--trials=1") == 75
    away.__exit__()
    assert "The tracking store has been away" in capsys.readouterr().err and states(home) == ["FAIL", "WAITING"]
    assert toys("--trials=1") == 0 and states(home) == ["FAIL", "COMPLETE"]
    assert [note["epoch"] for note in study_toy.notes()] == [1, 2, 3, 4]
    assert {row.status for row in tracking.rows()} == {"FINISHED"} and len(runs("finetune")) == 1


def test_a_worker_that_lost_its_database_leaves_at_once_with_the_code_for_try_again(toys, home, monkeypatch):
    released = []

    def away(*_):
        raise database.DatabaseAway("The studies' database has been away for 600 s: gone")

    monkeypatch.setattr(worker, "told", away)
    monkeypatch.setattr(claims.Desk, "release", lambda desk, claim: released.append(claim))
    assert toys("--trials=1") == 75 and not released


@pytest.mark.parametrize(("alive", "attempt"), [(True, "1"), (False, "2")])
def test_a_step_whose_holder_shows_life_is_waited_for_and_one_whose_holder_is_stopped_begun_afresh(
    alive, attempt, toys, home, photos, monkeypatch
):
    monkeypatch.setattr(lock, "WAIT", 0.02)
    monkeypatch.setattr(steps, "GLANCES", (0.02, 0.05))
    told = config.load("finetune", {"data": str(photos), "epochs": "2"}, "smoke")
    cell = experiment.cell("finetune", told, {})
    folder, began = cells.folder_of(cell), time.monotonic()
    holder = lock.hold(folder)
    patience = 30 if alive else 0.5
    for record in steps.Steps(None, None, None, take=lambda cell: True, patience=patience).settled(cell):
        if record is None and alive:
            (folder / "sign").touch()
            (folder / "sign").unlink()
        if record is None and time.monotonic() - began > 1.5:
            lock.release(folder, holder)
    lock.release(folder, holder)
    assert {Path(note["folder"]).name for note in study_toy.notes()} == {attempt}


def test_a_finished_study_ends_what_its_workers_left_running_and_nobody_else_s_runs(toys, home):
    assert toys("--trials=1") == 0
    (parent,) = runs("study")

    def begun(name, above=None, **more):
        tags = {"study": NAME, **more}
        return tracking.open_run("finetune", Path("runs") / name, name=name, params={}, tags=tags, parent=above)

    adopted, left = begun("adopted", parent.run_id, experiment="demo"), begun("left", parent.run_id)
    with begun("other") as other, adopted, left:
        assert toys("--trials=1") == 0
        status = [tracking.row(run.run_id).status for run in (other, adopted, left)]
    assert status == ["RUNNING", "RUNNING", "KILLED"]


def test_a_study_that_is_made_anew_under_its_name_has_runs_of_its_own(toys, home):
    assert toys("--trials=1") == 0
    (home / "optuna.db").unlink()
    assert toys("--trials=1", "--seeds=1") == 0
    assert len(runs("trial")) == 2 and [row.parent for row in runs("trial")] == [row.run_id for row in runs("study")]


def test_a_study_of_an_earlier_version_goes_on_in_its_folder(toys, home, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(claims.Desk, "folder", lambda desk: Path("runs") / f"study-{NAME}")
        assert toys("--trials=1") == 0
    kept(home).set_user_attr(claims.WORD, "")
    assert toys("--trials=2") == 0
    assert len(runs("study")) == 1 and [path.name for path in Path("runs").glob("study-*")] == [f"study-{NAME}"]


def test_who_waits_for_a_leader_that_ends_before_its_run_is_open_says_so_once_and_leads(
    toys, home, monkeypatch, capsys
):
    monkeypatch.setattr(leading, "LOOK", 0.01)
    looks = []
    with closing(database.Database(f"sqlite:///{home}/optuna.db", 60, claims.again)) as place:
        lead = place.lock(f"lead {NAME}")
        assert lead.take()

        def begun(desk):
            looks.append(desk)
            if len(looks) == 3:
                lead.leave()
            return False

        monkeypatch.setattr(leading, "begun", begun)
        assert toys("--trials=1") == 0 and states(home) == ["COMPLETE"]
    assert len(looks) == 3 and capsys.readouterr().out.count("waiting for the process that leads the study") == 1


def test_who_finds_the_study_s_run_held_by_a_leader_that_lost_its_lock_joins_it(toys, home, capsys):
    assert toys("--trials=1") == 0
    (parent,) = Path("runs").glob("study-*/parent-*")
    with tracking.held(parent) as ours:
        assert ours and toys("--trials=2", "--pruner=none") == 0
    said = capsys.readouterr().out
    assert states(home) == ["COMPLETE"] * 2 and "shown by the process that leads it" in said and "joining" in said
