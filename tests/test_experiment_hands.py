"""Cells side by side: the same weights, one death costs one cell, and nothing is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import toys
from benchmarks.faults.trace import weights
from benchmarks.faults.warm import session, until
from iqa import config, experiment, tracking
from iqa.experiment import hands, running
from iqa.experiment.cells import Cell, Result

ROOT = Path(__file__).parent.parent
SMALL = {"device": "cpu", "batch_size": "6", "epochs": "2", "compute.threads": "1"}
SIZES = {"degrade.crop": "32", "finetune.crops.size": "32", "finetune.crops.grid": "1", "evaluate.crops.size": "32"}


@pytest.fixture
def plan(home, photos):
    """A small experiment of two seeds: ten cells."""
    (home / "toy.yaml").write_text(toys.EXPERIMENT.replace("seeds: [0]", "seeds: [0, 1]"))
    sets = {"data": str(photos), "targets": str(photos)}
    return experiment.plan("toy.yaml", "", "", SMALL | SIZES | sets)


def silent(*_):
    """Show nothing; a lambda could not be sent to another process."""


def run(plan, at_once, ready=tracking.handle_signals):
    return experiment.run(plan, command="test", show=silent, say=lambda line: None, at_once=at_once, ready=ready)[1]


@pytest.mark.processes
@pytest.mark.timeout(400)  # its own waits add up to that
def test_cells_side_by_side_are_those_that_one_process_computes(plan, monkeypatch):
    together = run(plan, 2)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "alone")
    monkeypatch.setenv("IQA_RUNS", "alone")
    alone = run(plan, 1)
    assert weights(Path("runs")) == weights(Path("alone")) and len(weights(Path("alone"))) == 12
    assert len(together.done) == len(alone.done) == 10 and not together.failed


class OneAtATime:
    """Hands of one place, which finish what they do when they are waited for."""

    def __init__(self, outcome):
        self.outcome, self.busy, self.begun = outcome, None, []

    def free(self):
        return self.busy is None

    def works_at(self, cell):
        return self.busy is cell or (self.busy is not None and self.busy.key == cell.key)

    def begin(self, cell):
        self.busy = cell
        self.begun.append(cell.key)

    def wait(self):
        if self.busy is not None:
            self.outcome.done[self.busy.key] = Result(self.busy.key, reused=False)
            self.busy = None


def test_arms_that_share_a_cell_wait_for_it_wherever_it_is_and_go_on(monkeypatch):
    """Also where it waits for a free place when the second arm comes to it."""

    def chain(plan, arm, seed, fold, outcome):
        for key in {"first": ["other"], "second": ["shared", "b"], "third": ["shared", "c"]}[arm]:
            yield Cell("finetune", None, key, {"arm": arm, "cell": key})
            if key not in outcome.done:
                return

    monkeypatch.setattr(running, "chain", chain)
    monkeypatch.setattr(running, "corners", lambda plan: [(0, arm, "") for arm in ("first", "second", "third")])
    outcome = running.Outcome()
    hands = OneAtATime(outcome)
    running.steps(None, outcome, lambda cell: False, hands)
    assert sorted(hands.begun) == ["b", "c", "other", "shared"] and len(outcome.done) == 4


def die_once(marker):
    """Kill this process, unless another one has died before."""
    tracking.handle_signals()
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.processes
@pytest.mark.timeout(400)  # its own waits add up to that
def test_a_process_that_is_killed_costs_its_own_cell_and_the_next_command_computes_it(plan, home, monkeypatch):
    outcome = run(plan, 2, partial(die_once, str(home / "died")))
    assert len(outcome.failed) == 1 and "its process was killed by SIGKILL" in outcome.failed[0]
    assert len(outcome.done) in (7, 8, 9)  # without what would have come after it
    assert "RUNNING" not in {row.status for row in tracking.rows()}
    monkeypatch.setenv("IQA_RUNS", "others")  # the process that they are forked from began before this
    assert len(run(plan, 2).done) == 10
    assert list(Path("others").glob("finetune-*"))


@dataclass
class Gone:
    """A process that has ended."""

    exitcode: int


def test_the_error_of_a_process_killed_for_memory_names_the_batch_size_and_what_needs_less(home):
    told = config.load("finetune", {"batch_size": "12", "compute.micro_batch": "8"}, "smoke")
    cell = Cell("finetune", told, "0" * 64, {"stage": "finetune"})
    said = hands._epitaph(hands.Work(cell, Gone(-signal.SIGKILL), None, 0))
    assert "killed by SIGKILL" in said and "batch_size is 12, 8 at once: give compute.micro_batch=4" in said
    assert "at_once=1" in said


@pytest.fixture
def command(plan, home, photos, monkeypatch):
    """Starts the experiment as a command in a session of its own."""
    words = [f"--{name}={value}" for name, value in (SMALL | SIZES).items()]
    words = [sys.executable, "-m", "entrypoints.main", "--experiment=toy.yaml", "--at_once=2", *words]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    started = []

    def start(*more):
        out = (home / f"out-{len(started)}.txt").open("w")
        sets = [f"--data={photos}", f"--targets={photos}"]
        started.append(
            subprocess.Popen([*words, *sets, *more], stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        )
        out.close()
        return started[-1]

    yield start
    for process in started:
        for pid in session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def at_work():
    return sum(row.status == "RUNNING" and row.tags["stage"] == "finetune" for row in tracking.rows())


@pytest.mark.processes
@pytest.mark.timeout(400)  # its own waits add up to that
@pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 128 + 15), (signal.SIGKILL, -9)])
def test_a_command_that_ends_early_leaves_no_process_and_goes_on(command, number, code):
    first = command()
    assert until(lambda: at_work() == 2, 100)
    os.kill(first.pid, number)
    assert first.wait(timeout=10) == code
    assert until(lambda: not session(first.pid), 10)
    if number == signal.SIGTERM:
        assert "RUNNING" not in {row.status for row in tracking.rows()}
    assert command().wait(timeout=200) == 0
    rows = tracking.rows()
    assert {row.status for row in rows} == {"FINISHED"} and len(rows) == 11


def test_a_stop_keeps_the_reason_that_the_cell_gave(monkeypatch):
    said = str(tracking.Stopped(signal.SIGUSR1)).replace("SIGUSR1", "max_hours")
    reader, writer = multiprocessing.Pipe(duplex=False)
    writer.send(("stopped", (int(signal.SIGUSR1), said)))
    team = hands.Team.__new__(hands.Team)
    work = hands.Work(SimpleNamespace(key="k"), SimpleNamespace(join=lambda: None), reader, 0)
    team.working, team.slots = [work], set()
    with pytest.raises(tracking.Stopped, match="Stopped by max_hours") as stop:
        team._over(work)
    assert stop.value.exit_code == 128 + signal.SIGUSR1


def test_an_answer_that_nobody_hears_any_more_is_no_error(monkeypatch):
    for name in ("leave_with_parent", "expect_store"):
        monkeypatch.setattr(hands.tracking, name, lambda: None)
    monkeypatch.setattr(hands, "_tried", lambda *_: ("done", None))
    reader, writer = multiprocessing.Pipe(duplex=False)
    reader.close()
    hands._life(None, None, silent, 0, lambda: None, dict(os.environ), frozenset(), writer)
