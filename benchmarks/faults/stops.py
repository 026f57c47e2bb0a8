"""SIGTERM: to the command, to the `mlflow run` around it, once and twice; then the same command again."""

import os
import random
import signal
import sys
import time
from pathlib import Path

from benchmarks.faults import warm
from benchmarks.faults.attempt import counted, passing
from benchmarks.faults.beside import PACE
from benchmarks.faults.home import ROOT, Home
from benchmarks.faults.kills import left
from benchmarks.faults.place import BESIDE, PATIENCE, Place
from benchmarks.faults.row import Outcome
from entrypoints.command import STOPPED

LONGEST = 10.0  # seconds until everything is gone
TERMINATED = STOPPED + signal.SIGTERM


def command(home: Home, name: str, stage: str, seed: int, times: int, without: str = "") -> Outcome:
    """Asked to stop at a random step, `times` times."""
    draw = random.Random(f"{seed} {name}")
    with Place(home, name, without) as place:
        child = place.start(stage, pace=PACE if stage == BESIDE else 0.0)
        warm.until(passing(place.folder, "after-step", draw.randint(1, 6)), PATIENCE)
        began = time.monotonic()
        for _ in range(times):
            child.signal(signal.SIGTERM)
            time.sleep(draw.uniform(0, 0.2))
        code = child.wait(2 * LONGEST)
        orphans = left(child, began + LONGEST - time.monotonic())
        seconds = time.monotonic() - began
        wrong = [f"exit code {code} instead of {TERMINATED}: {place.said()}"] if code != TERMINATED else []
        wrong += [f"it took {seconds:.1f} s"] if seconds > LONGEST else []
        wrong += [orphans] if orphans else []
        wrong += beside(place) if stage == BESIDE else stated(place, ("KILLED",))
        if not wrong and (code := place.finish(stage)):
            wrong += [f"the same command ended with {code}: {place.said()}"]
        return "; ".join(wrong) or unsaved(place, stage) or place.wrong(stage), f"{seconds:.1f} s"


def unsaved(place: Place, stage: str) -> str:
    """What is wrong with the checkpoint of the stop: nothing else saves the step that was last when it came."""
    again = counted(place.folder, "after-step") - place.home.steps(stage)
    return f"{again} steps were done twice: the stop itself did not save" if again else ""


def stated(place: Place, statuses: tuple[str, ...]) -> list[str]:
    """What is wrong with the only run's status and its tag; FAILED is allowed where `mlflow run` overwrites it."""
    found = [(status, reason) for status, reason in place.ask(_statuses)]
    if len(found) != 1 or found[0][0] not in statuses or found[0][1] != "SIGTERM":
        return [f"the store's runs are {found}, not one {' or '.join(statuses)} stopped by SIGTERM"]
    return []


def beside(place: Place) -> list[str]:
    """What is wrong with the runs of an experiment that was stopped: those that had not finished were killed by it."""
    found = [(status, reason) for status, reason in place.ask(_statuses) if status != "FINISHED"]
    fine = len(found) > 1 and set(found) == {("KILLED", "SIGTERM")}  # the experiment's own and a cell's, at least
    return [] if fine else [f"the runs that did not finish are {found}"]


def _statuses() -> list[tuple[str, str]]:
    from iqa import tracking

    return [(row.status, row.tags.get("iqa.stopped", "")) for row in tracking.rows()]


def project(home: Home, name: str, stage: str, seed: int, times: int, without: str = "") -> Outcome:
    """`mlflow run` asked to stop; its child has to leave as if it had been asked itself."""
    draw = random.Random(f"{seed} {name}")
    with Place(home, name, without) as place:
        words = [word.removeprefix("--") for word in place.words(stage)]
        given = [part for word in words for part in ("-P", word)]
        parent = _mlflow_run(place, stage, given)
        started = warm.until(lambda: bool(list((place.folder / "runs").glob("*/*/checkpoints/step-*"))), PATIENCE, 0.05)
        time.sleep(draw.uniform(0, 0.3))
        began = time.monotonic()
        for _ in range(times):
            parent.signal(signal.SIGTERM)
            time.sleep(draw.uniform(0, 0.2))
        gone = warm.until(lambda: parent.poll() is not None and not warm.session(parent.pid), 2 * LONGEST, 0.05)
        seconds = time.monotonic() - began
        wrong = [] if started else [f"it did not begin: {place.said()}"]
        wrong += [] if gone and seconds <= LONGEST else [f"something of it was there after {seconds:.1f} s"]
        parent.end()
        wrong += stated(place, ("KILLED", "FAILED"))
        if not wrong and _mlflow_run(place, stage, given).wait(PATIENCE):
            wrong += [f"the same command failed: {place.said()}"]
        return "; ".join(wrong) or place.wrong(stage), f"{seconds:.1f} s"


def _mlflow_run(place: Place, stage: str, given: list[str]) -> warm.Program:
    words = ["-m", "mlflow", "run", str(ROOT), "-e", stage, "--env-manager", "local", *given]
    path = f"{Path(sys.executable).parent}{os.pathsep}{place.environment()['PATH']}"
    return place.program(words, {"PATH": path})
