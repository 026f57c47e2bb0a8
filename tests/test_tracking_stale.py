"""Runs that a process left behind, told from those that somebody computes."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tracking_toy import another_user_s, arrived

from iqa import tracking
from iqa.tracking import adoption, lock, shipping, stale, store
from iqa.tracking.lock import HOLDER

ROOT = Path(__file__).parent.parent
LEFT = """
import os, signal, sys
from iqa import tracking
run = tracking.open_run("pretrain", tracking.runs_folder() / "left", name="left", params={}, tags={}).__enter__()
print(run.run_id, flush=True)
sys.stdin.read() if len(sys.argv) > 1 else os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


def opened(name, stage="pretrain", **more):
    return tracking.open_run(stage, tracking.runs_folder() / name, name=name, params={}, tags={}, **more)


def process(*words):
    command = [sys.executable, "-c", LEFT, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=None)


def left():
    """The id of a run whose process was killed."""
    with process() as killed:
        return killed.stdout.read().strip()


def stranger(heartbeat):
    """A run that shows as running and whose folder is on another machine."""
    tags = {"stage": "pretrain", "iqa.heartbeat": str(int(heartbeat))}
    return store.client().create_run(store.experiment_id("iqa"), tags=tags, run_name="far").info.run_id


def test_the_next_command_ends_what_a_killed_process_left_and_its_own_command_goes_on():
    gone = left()
    assert tracking.row(gone).status == "RUNNING"
    with opened("another"):
        row = tracking.row(gone)
        assert row.status == "KILLED" and "process is gone" in row.tags["iqa.reason"]
    with opened("left") as again:
        assert again.run_id == gone
    row = tracking.row(gone)
    assert row.status == "FINISHED" and "iqa.reason" not in row.tags


def test_a_living_process_s_run_is_never_ended_however_long_it_was_silent():
    with process("stay") as living:
        run = living.stdout.readline().strip()
        while "iqa.heartbeat" not in tracking.row(run).tags:  # its own first one, which two must not write at once
            time.sleep(0.05)
        store.client().set_tag(run, "iqa.heartbeat", "1")
        assert not tracking.reap() and tracking.row(run).status == "RUNNING"
        living.kill()
        living.wait()
    assert [row.run_id for row in tracking.reap()] == [run]


def test_a_run_that_ended_and_waits_for_sync_is_not_taken_for_dead(monkeypatch):
    gone = left()
    with (tracking.runs_folder() / "left" / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"what": "end", "time": 2**41, "status": "FINISHED"}) + "\n")
    assert not tracking.reap() and tracking.row(gone).status == "RUNNING"
    tracking.sync(tracking.runs_folder() / "left")
    assert tracking.row(gone).status == "FINISHED"


def test_a_run_that_another_machine_took_for_dead_before_its_end_was_sent_tells_of_no_death(monkeypatch):
    gone = left()
    with (tracking.runs_folder() / "left" / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"what": "end", "time": 2**41, "status": "FINISHED"}) + "\n")
    assert adoption.abandon(gone, stale.REASON) and tracking.row(gone).status == "KILLED"
    tracking.sync(tracking.runs_folder() / "left")
    row = tracking.row(gone)
    assert row.status == "FINISHED" and "iqa.reason" not in row.tags


def test_a_full_disk_keeps_nobody_from_what_was_left_behind(monkeypatch):
    gone = left()
    write = Path.write_text

    def full(file, *words, **more):
        if file.name == HOLDER:
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        return write(file, *words, **more)

    monkeypatch.setattr(Path, "write_text", full)
    assert [row.run_id for row in tracking.reap()] == [gone]


def test_a_run_of_another_machine_is_ended_by_ten_minutes_of_silence_alone():
    silent, talking = stranger(time.time() - 601), stranger(time.time() - 300)
    assert [row.run_id for row in tracking.reap()] == [silent]
    assert tracking.row(talking).status == "RUNNING"


def test_on_a_shared_disk_another_machine_s_run_counts_as_such():
    gone = left()
    holder = tracking.runs_folder() / "left" / HOLDER
    holder.write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    assert not tracking.reap() and tracking.row(gone).status == "RUNNING"
    store.client().set_tag(gone, "iqa.heartbeat", "1")
    assert [row.run_id for row in tracking.reap()] == [gone]


def test_a_run_that_was_taken_for_dead_in_an_outage_shows_as_running_again(monkeypatch):
    monkeypatch.setattr(shipping, "HEARTBEAT", 0.0)
    monkeypatch.setattr(shipping, "SILENCE", -1)  # each heartbeat comes after too long a silence
    with opened("a") as run:
        store.client().set_terminated(run.run_id, "KILLED")
        store.client().set_tag(run.run_id, "iqa.reason", "Its process is gone.")
        deadline = time.monotonic() + 10
        while tracking.row(run.run_id).status != "RUNNING" or "iqa.reason" in tracking.row(run.run_id).tags:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_store_that_fails_is_said_and_stops_nothing(monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert tracking.reap() == [] and "cannot be seen" in caplog.text


@pytest.mark.parametrize("mode", ["r", ""])
def test_another_user_s_run_is_left_to_them_and_stops_no_command(mode, monkeypatch):
    theirs = left()
    folder = tracking.runs_folder() / "left"
    another_user_s(monkeypatch, folder, mode)
    with lock.held(folder) as ours:
        assert not ours
    with pytest.raises(lock.NotOurs, match="cannot be written .Permission denied"):
        lock.hold(folder)
    with opened("another") as run:
        pass
    assert run.finished and tracking.row(theirs).status == "RUNNING"


def test_a_run_shows_life_by_its_journal_by_its_heartbeat_and_before_both_by_its_folder(monkeypatch):
    folder, hour = tracking.runs_folder() / "one", time.time() - 3600
    folder.mkdir(parents=True)
    assert tracking.silence(folder) < 60
    os.utime(folder, (hour, hour))
    assert tracking.silence(folder) > 3000
    with opened("one") as run:
        arrived(lambda: "iqa.heartbeat" in tracking.row(run.run_id).tags)
        os.utime(folder / "journal.jsonl", (hour, hour))
        assert tracking.silence(folder) < 60
        monkeypatch.setenv("IQA_OFFLINE", "true")  # the journal alone is asked
        assert tracking.silence(folder) > 3000
        run.metrics({"loss": 1.0}, 1)
        assert tracking.silence(folder) < 60
        monkeypatch.delenv("IQA_OFFLINE")
