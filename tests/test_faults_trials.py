"""What the fault harness asks of its processes, and what it says is wrong: its trials' own parts, on toys."""

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch

from benchmarks.faults import attempt, caught, kills, outages, stops, troubles, warm
from benchmarks.faults import trace as traces
from benchmarks.faults.home import Home
from iqa import checkpoint, loop, machine, tracking
from iqa.tracking import journal, shipping


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        ("weights lacks one; and more", ""),
        ("", "nobody noticed that 'sums' was switched off"),
        ("it did not begin", "something else than 'weights (lacks|has)' was wrong: it did not begin"),
        (f"weights lacks one, it ended with {warm.BROKEN}", "switching 'sums' off broke the command itself"),
    ],
)
def test_only_the_loss_itself_counts_as_noticed(wrong, verdict, monkeypatch):
    asked = []

    def trial(home, name, stage, without):
        asked.append((stage, without))
        return wrong, ""

    loss = caught.Loss("weights (lacks|has)", trial, ("pretrain",))
    monkeypatch.setitem(caught.NOTICED_BY, "sums", loss)
    found, note = caught.noticed(None, "a", "sums")
    assert asked == [("pretrain", "sums")]
    assert verdict in found if verdict else (found, note) == ("", wrong)


def alone(tmp_path, question):
    """What a function answers in a process of its own."""
    return warm.answered(question, tmp_path / "out.txt", os.environ, tmp_path)


def test_nothing_of_a_program_goes_on_without_the_process_that_started_it(tmp_path):
    def started():
        program = warm.Program(["sh", "-c", "sleep 60 & sleep 60"], tmp_path / "out.txt", os.environ, tmp_path)
        (tmp_path / "pid").write_text(str(program.pid))
        warm.until(lambda: len(warm.session(program.pid)) == 3, 5)
        os.kill(os.getpid(), signal.SIGKILL)

    assert warm.Child(started, tmp_path / "out.txt", os.environ, tmp_path).wait(10) == -signal.SIGKILL
    assert warm.until(lambda: not warm.session(int((tmp_path / "pid").read_text())), 5)


def test_a_program_that_takes_too_long_is_ended_with_what_it_started(tmp_path):
    program = warm.Program(["sh", "-c", "sleep 60 & sleep 60"], tmp_path / "out.txt", os.environ, tmp_path)
    assert program.wait(0.2) == -signal.SIGKILL and not warm.session(program.pid)
    program.end()


def test_who_kills_a_child_without_patience_sees_it_die(tmp_path):
    child = warm.Child(lambda: time.sleep(60), tmp_path / "out.txt", os.environ, tmp_path)
    assert child.wait(0) == child.code == -signal.SIGKILL


def test_memory_that_runs_out_is_what_the_product_takes_for_it(tmp_path):
    def starved():
        try:
            with machine.enough_memory("take less"):
                attempt.Attempt("", (), starved=2)._after_step(1)
                attempt.Attempt("", (), starved=2)._after_step(2)
        except machine.MachineError as error:
            return str(error)

    assert "take less" in alone(tmp_path, starved)


def test_a_rate_runs_wild_from_its_step_on(monkeypatch):
    monkeypatch.setattr(loop, "set_lr", loop.set_lr)
    group = {"first_lr": 0.5}
    asked = attempt.Attempt("", (), wild=2)
    for step, rate in ((1, 0.5), (2, 0.5 * attempt.WILD)):
        asked._after_step(step)
        loop.set_lr(SimpleNamespace(param_groups=[group]), 1.0)
        assert group["lr"] == rate


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        ({5: 1.0}, ""),
        ({}, "the newest checkpoint is of step None instead of 5"),
        ({4: 1.0}, "the newest checkpoint is of step 4 instead of 5"),
        ({5: 1.0, 6: 1.0}, "the newest checkpoint is of step 6 instead of 5"),
        ({5: torch.nan}, "the checkpoint of step 5 is not finite"),
    ],
)
def test_after_a_divergence_the_checkpoint_of_the_last_finite_step_is_demanded(steps, wrong, tmp_path):
    for step, value in steps.items():
        tree = {"weights": {"a": torch.tensor(value)}, "sums": {"total": torch.tensor(1.0)}}
        checkpoint.save(tmp_path / "checkpoints", step, tree)
    assert troubles.kept(SimpleNamespace(run_folder=lambda: tmp_path), 5) == ([wrong] if wrong else [])


@pytest.mark.parametrize(
    ("sent", "torn", "lanes"), [(0, b"", {"data", "files"}), (1, b"", {"files"}), (2, b'{"what": "metr', set())]
)
def test_an_outage_in_which_nothing_is_due_is_told_from_one_that_met_something(sent, torn, lanes, tmp_path):
    lines = [b'{"what": "metrics", "step": 1}\n', b'{"what": "artifact", "to": "a"}\n']
    (tmp_path / journal.NAME).write_bytes(b"".join(lines) + torn)
    position = sum(map(len, lines[:sent]))
    (tmp_path / shipping.NAME).write_text(json.dumps({"data": position, "files": position}))
    assert {lane for lane in shipping.LANES if outages.due(tmp_path, lane)} == lanes


@pytest.mark.parametrize(
    ("found", "fine"),
    [
        ([("FINISHED", ""), ("KILLED", "SIGTERM"), ("KILLED", "SIGTERM")], True),
        ([("FINISHED", ""), ("KILLED", "SIGTERM")], False),
        ([("RUNNING", ""), ("KILLED", "SIGTERM"), ("KILLED", "SIGTERM")], False),
        ([("KILLED", ""), ("KILLED", "SIGTERM")], False),
        ([("FINISHED", ""), ("FINISHED", "")], False),
    ],
)
def test_of_a_stopped_experiment_the_parent_and_a_cell_have_to_be_killed_by_the_signal(found, fine):
    assert bool(stops.beside(SimpleNamespace(ask=lambda question: found))) != fine


def test_a_batch_at_which_an_experiment_is_killed_is_one_that_it_surely_sends(tmp_path):
    passed = [(name, 0.0) for name in (*["batch-sent"] * 40, *["amid-upload"] * 5, "amid-write")]
    (tmp_path / "oracle-main.json").write_text(json.dumps({"passed": passed}))
    found = kills.instants(Home(tmp_path), "main")
    assert [one for one in found if one.startswith("batch")] == ["batch-sent:1", "batch-sent:14", "batch-sent:28"]
    assert [one for one in found if one.startswith("amid-upl")] == ["amid-upload:1", "amid-upload:3", "amid-upload:5"]
    assert not [one for one in found if one.startswith("amid-write")]


def test_a_trace_has_params_tags_and_inputs_and_not_what_each_attempt_has_for_itself(home):
    def run(**tags):
        about = {
            "params": {"weights": f"runs:/{'a1' * 16}/encoder"},
            "tags": {"arm": "a", "digest": "a1" * 16, "iqa.command": "x"} | tags,
        }
        with tracking.open_run("toy", home / "runs" / "toy-1" / "1", name="toy", **about, reopen=True) as opened:
            opened.dataset("pictures", "d1", "/somewhere", "training", {"images": "3"})
        return tracking.rows()[0]

    row = run()
    assert traces.params(row, home) == ["weights runs:/ID/encoder"]
    assert traces.tags(row, home) == ["arm a", f"digest {'a1' * 16}", "stage toy"]
    assert traces.inputs(row) == ["pictures d1 [('images', '3'), ('mlflow.data.context', 'training')]"]
    assert traces.models(row) == []
    where, model = f"where {home / 'x'}", f"iqa.model m-{'a1' * 16}"
    row = run(**dict(word.split() for word in (where, model)))
    assert {"iqa.model ID", "where HERE/x"} < set(traces.tags(row, home))
