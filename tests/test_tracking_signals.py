"""Being asked to stop: by a signal, by the death of `mlflow run`, by the clock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ASKED = """
import os, signal, time
from iqa.tracking import Stopped, handle_signals, stop_requested
import sys
handle_signals()
assert stop_requested() == 0 and not {"mlflow", "torch", "pandas"} & set(sys.modules)
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    os.kill(os.getpid(), number)
    assert stop_requested() == number
stopped = Stopped(signal.SIGTERM)
assert stopped.exit_code == 143 and "SIGTERM" in str(stopped)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_signals_only_ask_and_a_second_interrupt_insists(tmp_path):
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


CHILD = """
import time
from iqa.tracking import handle_signals, stop_requested
handle_signals()
print("ready", flush=True)
while not stop_requested():
    time.sleep(0.02)
print(stop_requested(), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_the_death_of_mlflow_run_asks_its_child_to_stop():
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"
    environment = os.environ | {"MLFLOW_RUN_ID": "x"}
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT) as outer:
        assert outer.stdout is not None and outer.stdout.readline() == "ready\n"
        outer.kill()
        assert outer.stdout.readline() == "15\n"


NOBODY_LOOKS = """
import os, signal, time
from iqa.tracking import Stopped, handle_signals, signals, stop_requested
signals.GRACE = 0.2
handle_signals()
os.kill(os.getpid(), signal.SIGTERM)
assert stop_requested() == signal.SIGTERM
time.sleep(0.5)  # who was told is not broken off
print("told")
signals._asked = 0
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
try:
    time.sleep(9)
except Stopped as stopped:
    print(stopped.exit_code, stopped)
"""


def test_work_that_asks_nobody_is_broken_off_and_work_that_asks_is_not():
    done = subprocess.run([sys.executable, "-c", NOBODY_LOOKS], capture_output=True, text=True, cwd=ROOT)
    said = "what came after the last checkpoint is done again: the same command goes on."
    assert (done.stdout, done.stderr) == (f"told\n143 Stopped by SIGTERM, {said}\n", "")


PARENT_GOES = """
import multiprocessing, os, signal, time
from iqa.tracking import handle_signals, leave_with_parent, signals

def child():
    signals.GRACE, signals.ORPHANED = 50, 0.2
    handle_signals()
    leave_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(60)

multiprocessing.get_context("fork").Process(target=child).start()
time.sleep(60)
"""


def test_a_process_whose_parent_is_gone_is_broken_off_sooner():
    with subprocess.Popen([sys.executable, "-c", PARENT_GOES], stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None and parent.stdout.readline().strip().isdigit()
        parent.kill()
        parent.communicate(timeout=20)  # its child has the other end of this pipe, for as long as it lives


FOLLOWS = """
import os, signal, time
from iqa.tracking import follow, handle_signals, signals, stop_if_asked, stop_requested
signals.GRACE = 0.2
handle_signals()
follow()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.5)
stop_if_asked()
print(stop_requested())
"""


def test_one_of_several_processes_that_is_asked_to_stop_goes_on_until_the_first_one_stops():
    done = subprocess.run([sys.executable, "-c", FOLLOWS], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("15\n", "")


LIMITED = """
import signal
from iqa.tracking import Stopped, stop_after, stop_requested
stop_after(0.0)
assert stop_requested() == 0
stop_after(1e-9)
assert stop_requested() == signal.SIGUSR1
print(Stopped(stop_requested()))
"""


def test_max_hours_asks_as_sigusr1_does_and_says_so():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "Stopped by max_hours, everything saved: the same command goes on.\n", done.stderr
