"""The fault harness in its parts; what it does with real processes is `make faults-sample`."""

import json
import sys

import pytest

from benchmarks.faults import __main__ as command
from benchmarks.faults import (
    caught,
    damage,
    disks,
    document,
    hostile,
    kills,
    mismatch,
    outages,
    row,
    rows,
    running,
    sabotage,
    table,
    workers,
)
from benchmarks.faults import trace as traces
from benchmarks.faults.home import Home
from benchmarks.faults.running import Ledger, Result
from iqa import checkpoint, config, instants, tracking
from iqa.experiment import cells
from iqa.tracking import shipping, store

TRACE = {
    "runs": ['["pretrain", "a", "FINISHED"]'],
    "history": {"a": ["loss 1 0.5", "loss 2 0.25"]},
    "doubled": {"a": []},
}


@pytest.fixture
def harness(tmp_path):
    """A harness's folder in which the undisturbed runs passed every instant twice."""
    passed = [(name, float(at)) for at, name in enumerate([*instants.NAMES, *instants.NAMES])]
    for stage in ("pretrain", "finetune", "main"):
        about = {"trace": TRACE, "passed": passed, "seconds": 1.0, "checkpoint_bytes": 1000}
        (tmp_path / f"oracle-{stage}.json").write_text(json.dumps(about))
    return Home(tmp_path)


def test_equal_traces_differ_in_nothing():
    assert traces.differences(TRACE, json.loads(json.dumps(TRACE))) == ""


@pytest.mark.parametrize(
    ("part", "value", "sentence"),
    [
        ("history", {"a": ["loss 1 0.5"]}, "lacks a: loss 2 0.25"),
        ("history", {"a": ["loss 1 0.5", "loss 2 0.25", "loss 2 0.26"]}, "has a: loss 2 0.26"),
        ("doubled", {"a": ["loss 1"]}, "doubled has a: loss 1"),
        ("runs", ['["pretrain", "a", "RUNNING"]'], "RUNNING"),
        ("runs", [*TRACE["runs"], '["pretrain", "a", "KILLED"]'], "KILLED"),
        ("runs", TRACE["runs"] * 2, 'runs has ["pretrain", "a", "FINISHED"]'),
    ],
)
def test_a_lost_a_changed_and_a_doubled_point_and_another_run_are_named(part, value, sentence):
    assert sentence in traces.differences(TRACE, TRACE | {part: value})


def test_the_protocol_has_the_figures_that_it_promises(harness):
    counts = {one.key: one.weight * len(one.trials) for one in rows.every(harness, 0)}
    promised = {
        "random": 72,
        "five": 20,
        "stop": 20,
        "full": 10,
        "race": 20,
        "damage": 122,
        "hostile": 6,
        "mismatch": 5,
    }
    assert counts.items() >= (promised | {"study-kills": 25, "study": 4}).items()


def test_the_outage_of_ten_minutes_is_a_row_of_its_own_that_has_to_be_asked_for(harness):
    (ten,) = rows.ten_minutes(harness)
    assert ten.key not in {one.key for one in rows.every(harness, 0)}
    assert {trial.args[-1] for trial in ten.trials.values()} == {600.0} and len(ten.trials) == len(outages.AWAY)


def test_every_instant_of_the_product_is_tried_in_some_row(harness):
    tried = {kill.partition(":")[0] for stage in ("pretrain", "main") for kill in kills.instants(harness, stage)}
    assert tried == set(instants.NAMES)


def test_the_sample_is_drawn_by_its_seed_and_is_a_part_of_the_whole(harness):
    every = rows.every(harness, 0)
    one, same, other = (rows.sampled(every, seed) for seed in (0, 0, 1))
    assert [list(row.trials) for row in one] == [list(row.trials) for row in same]
    assert [list(row.trials) for row in one] != [list(row.trials) for row in other]
    whole = {row.key: set(row.trials) for row in every}
    assert all(set(row.trials) <= whole[row.key] for row in one)


def test_every_protection_can_be_switched_off_and_has_a_trial_that_notices():
    assert set(sabotage.PROTECTIONS) - {""} == set(caught.NOTICED_BY)


@pytest.mark.parametrize("case", ["cut 0 state.json", "flip 3 tensors.safetensors", "missing manifest.json", "a file"])
def test_a_damaged_checkpoint_is_a_loss_only_where_nobody_verifies(case, tmp_path, monkeypatch):
    assert damage._asked(tmp_path / "sound", case, 0, "")[0] == ""
    if case.startswith("flip"):
        monkeypatch.setattr(checkpoint, "_verify", lambda folder, kind: None)
        assert damage._asked(tmp_path / "blind", case, 0, "")[0] == "the damage was not seen"


def test_a_damage_is_noticed_where_the_one_before_was_not_kept(tmp_path, monkeypatch):
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda folder, step, tree: save(folder, step, tree, keep=1))
    assert damage._asked(tmp_path, "empty state.json", 0, "")[0] == "nothing is left"


@pytest.mark.parametrize("kind", hostile.FILES)
def test_making_a_hostile_file_runs_nothing_of_it(kind, tmp_path):
    assert hostile.FILES[kind](tmp_path).exists() and not (tmp_path / hostile.CANARY).exists()


@pytest.mark.parametrize("change", mismatch.CHANGES)
def test_each_change_of_an_encoder_says_what_the_error_has_to_name(change):
    tree = {"encoder": {"name": "x"}, "weights": {"a": checkpoint.torch.ones(1)}}
    before = json.dumps(tree, default=str)
    assert mismatch.CHANGES[change](tree) and json.dumps(tree, default=str) != before


def test_what_was_tried_is_kept_until_the_seed_is_another_one(tmp_path):
    kept = Ledger(Home(tmp_path / "h"), 3)
    kept.add(Result("random", "kill 1", "", "", 1.0))
    assert Ledger(Home(tmp_path / "h"), 3).has("random", "kill 1")
    assert not Ledger(Home(tmp_path / "h"), 4).results


def test_a_trial_that_breaks_counts_as_a_loss(tmp_path):
    kept = Ledger(Home(tmp_path / "h"), 0)
    kept.add(Result("one", "a", "KeyError('x')", "", 0.0))
    told = row.Row("one", "a fault", "nothing", {"a": lambda: ("", "")})
    assert [one.wrong for one in running.run([told], kept, 1)] == ["KeyError('x')"]
    assert str(table.counts([told], kept.results)["one"]) == "0 of 1"


def holding():
    """A trial in which nothing is lost; workers are handed it by its name."""
    return "", ""


def lacking():
    """A trial for which the machine lacks something."""
    raise row.Untried("no PostgreSQL is installed")


def test_a_trial_that_this_machine_cannot_make_has_neither_held_nor_lost_and_is_tried_again_next_time(tmp_path):
    told = row.Row("one", "a fault", "nothing", {"a": holding, "b": lacking})
    kept = Ledger(Home(tmp_path / "h"), 0)
    results = list(running.run([told], kept, 1))
    assert str(table.counts([told], results)["one"]) == "1 of 2, 1 not tried"
    assert not table.losses([told], results) and [one.trial for one in table.untried([told], results)] == ["b"]
    assert "NOT TRIED: no PostgreSQL is installed" in table.line(results[-1], 2, 2)
    assert [one.trial for one in Ledger(Home(tmp_path / "h"), 0).results] == ["a"]


@pytest.mark.parametrize(("flags", "code"), [([], 1), (["--rows=one"], 1), (["--sample"], 0)])
def test_what_was_not_tried_fails_the_protocol_and_not_the_sample(flags, code, tmp_path, monkeypatch, capsys):
    told = row.Row("one", "a fault", "nothing", {"a": holding, "b": lacking})
    monkeypatch.setenv("IQA_FAULTS", str(tmp_path / "h"))
    monkeypatch.setattr(sys, "argv", ["faults", *flags])
    for module, name in ((command.oracle, "prepare"), (command.document, "write")):
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(command.rows, "every", lambda *_: [told])
    assert command.main() == code
    said = capsys.readouterr().out
    assert "| 1 of 2, 1 not tried |" in said and "2 trials: 0 lost something, 1 not tried" in said


@pytest.mark.parametrize("what", ["server on PostgreSQL", "database"])
def test_without_postgresql_its_trials_are_not_tried(what, harness, monkeypatch):
    monkeypatch.setattr(outages.postgres, "installed", lambda: False)
    with pytest.raises(row.Untried, match="PostgreSQL"):
        outages.away(harness, "a", "pretrain", what, 1.0)
    with pytest.raises(row.Untried, match="PostgreSQL"):
        workers.injected(harness, "a", "away", 0)


def test_who_may_not_mount_has_not_tried_a_full_or_a_read_only_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(disks.os, "geteuid", lambda: 1000)
    with pytest.raises(row.Untried, match="may not mount"):
        disks._mount(tmp_path, "ro")


def test_the_table_counts_faults_and_the_page_keeps_what_is_around_it(tmp_path):
    told = row.Row("kills", "a fault", "nothing lost", {"a": lambda: ("", ""), "b": lambda: ("", "")}, weight=25)
    told.trials["c"] = lacking
    results = [Result("kills", "a", "", "", 1.0), Result("kills", "b", "one is lost", "", 1.0)]
    results += [Result("kills", "c", "", "", 1.0, lacks="no such thing")]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n")
    document.write([told], results, 5, page)
    text = page.read_text()
    assert "| a fault | nothing lost | 25 of 75, 25 not tried |" in text and "seed 5" in text
    assert "Not held:\n\n- kills, b: one is lost\n" in text and "Not tried:\n\n- kills, c: no such thing\n" in text
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text


def test_work_that_is_done_and_was_not_sent_is_sent_and_not_done_again(home, photos):
    told = {"data": str(photos), "degrade.crop": "32", "compute.threads": "1", "epochs": "0"}
    cell = cells.cell("pretrain", config.load("pretrain", told, "smoke"), {})
    first = cells.compute(cell)
    (cells.attempts(cell)[0] / shipping.NAME).unlink()  # as a kill leaves it between the journal's end and the store's
    store.client().update_run(first.run_id, status="RUNNING")
    again = cells.compute(cell)
    assert again.reused and again.run_id == first.run_id
    assert [(row.run_id, row.status) for row in tracking.rows()] == [(first.run_id, "FINISHED")]
    assert len(cells.attempts(cell)) == 1
