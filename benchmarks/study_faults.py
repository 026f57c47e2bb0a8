"""Do studies survive? Workers killed, stopped, woken; their database away; two that resume at once; the last one dying.

    python -m benchmarks.study_faults                    # every fault below, counted; exit 1 if not all held
    python -m benchmarks.study_faults kills --kills 25     # four workers on a PostgreSQL, killed at random instants
    python -m benchmarks.study_faults away --seconds 60

Toy stages of seconds with real checkpoints, real processes, a PostgreSQL of its own (SQLite where none is installed),
a tracking store of its own. The seed of the kills is printed.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import postgres, study_toy
from benchmarks.faults.warm import Program, until
from iqa import images, tracking
from studies import search

ROOT = Path(__file__).resolve().parents[1]
STUDY = "faults"
GRACE = 6  # seconds
EPOCH = 0.4  # seconds
ASLEEP = 180  # seconds that a worker is stopped at most
LOOK = 0.05  # seconds
PATIENCE = 900  # seconds for a study to end


@dataclass(frozen=True)
class Count:
    """One fault's outcome: how often it was tried (0 = not here), and how often nothing was lost or left running."""

    fault: str
    held: int
    tried: int
    note: str = ""


class StudyPlace:
    """A folder with a study's database, a tracking store and pictures; starts study commands in it."""

    def __init__(self, folder: Path, address: str):
        self.folder, self.address = folder, address
        self.processes: list[Program] = []
        pictures(folder / "photos")
        os.environ |= {
            "IQA_TOY_LOG": str(folder / "toy.jsonl"),
            "IQA_TOY_SLEEP": str(EPOCH),
            "IQA_RUNS": str(folder / "runs"),
            "IQA_CACHE": str(folder / "cache"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT)))),
        }

    def start(self, trials: int, workers: int = 1) -> Program:
        """The study command: again to go on, twice to join."""
        words = [f"--trials={trials}", f"--workers={workers}", f"--study={STUDY}", f"--storage={self.address}"]
        words += ["--preset=smoke", "--epochs=5", "--compute.threads=1", "--pruner=none", f"--grace={GRACE}"]
        command = [sys.executable, "-m", "benchmarks.study_toy", f"--data={self.folder / 'photos'}", *words]
        self.processes.append(Program(command, self.folder / "out.txt", os.environ, self.folder))
        return self.processes[-1]

    def finish(self, process: Program) -> bool:
        """Whether the command ended well in time."""
        return process.wait(PATIENCE) == 0

    def trials(self) -> list[Any]:
        return search.attempts(STUDY, self.address)

    def computing(self) -> list[int]:
        """The processes that computed something and are alive."""
        return sorted({note["pid"] for note in study_toy.notes() if alive(note["pid"])})

    def sound(self, trials: int) -> str:
        """What is wrong after a study's end, "" if nothing is."""
        found = self.trials()
        states = [trial.state.name for trial in search.latest(found)]
        faults = []
        if states != ["COMPLETE"] * trials:
            faults.append(f"{states.count('COMPLETE')} of {trials} trials complete, the others: {self.lost()}")
        if any(trial.state.name in ("RUNNING", "WAITING") for trial in found):
            faults.append("a trial is left running")
        followers = [number for trial in found for number in trial.system_attrs.get("retry_history", ())[-1:]]
        killed = [trial.number for trial in found if trial.state.name == "FAIL"]
        if sorted(followers) != killed:
            faults.append("a killed trial was not retried exactly once")
        if any(row.status == "RUNNING" for row in tracking.rows()):
            faults.append("a run is left RUNNING")
        return "; ".join(faults)

    def lost(self) -> str:
        """What became of the trials that are not complete."""
        last = [trial for trial in search.latest(self.trials()) if trial.state.name != "COMPLETE"]
        return ", ".join(f"{trial.number} {trial.state.name} {trial.user_attrs} {trial.system_attrs}" for trial in last)

    def clear(self) -> None:
        """End what is left."""
        for process in self.processes:
            process.end()


def kills(place: StudyPlace, count: int, seed: int, trials: int = 24) -> Count:
    """Four workers; one of them is killed at a random instant, again and again, while the study is going on."""
    draw = random.Random(seed)
    process, done = place.start(trials, workers=4), 0
    while done < count and process.poll() is None:
        time.sleep(draw.uniform(0.3, 2.0))
        victims = place.computing()
        if victims:
            os.kill(draw.choice(victims), signal.SIGKILL)
            done += 1
    ended = place.finish(process)
    wrong = place.sound(trials) if ended else "the study did not end"
    again = sum(trial.state.name == "FAIL" for trial in place.trials())
    note = f"seed {seed}, {trials} trials asked for, {again} attempts died, {rework(place)} epochs done twice"
    few = f"the study was over after {done} kills; " if done < count else ""
    return Count("kill", 0 if wrong or few else done, count, few + (wrong or note))


def rework(place: StudyPlace) -> int:
    """How many epochs were computed more than once."""
    seen = [(note["ratio"], note["epoch"]) for note in study_toy.notes() if note["stage"] == "finetune"]
    return len(seen) - len(set(seen))


def asleep(place: StudyPlace) -> Count:
    """A worker is stopped past its time of grace, another one goes on, the first one wakes up."""
    sleeper = place.start(2)
    computed(place, 2)
    sleeper.signal(signal.SIGSTOP)
    other = place.start(2)
    went_on = until(lambda: any(note["pid"] == other.pid for note in study_toy.notes()), ASLEEP, LOOK)
    sleeper.signal(signal.SIGCONT)
    ended = place.finish(other) and place.finish(sleeper)
    found = verdict("stopped past its grace time and woken", place, 2, ended)
    waited = f"the other worker did nothing in the {ASLEEP} s for which the first was stopped"
    return found if went_on else replace(found, held=0, note=f"{waited}; {found.note}")


def last_dies(place: StudyPlace) -> Count:
    """Every worker is killed at once, the one that leads too, and the same command is given again."""
    process = place.start(3, workers=2)
    computed(place, 3)
    for pid in [process.pid, *place.computing()]:
        os.kill(pid, signal.SIGKILL)
    process.wait(PATIENCE)
    return verdict("all workers killed, resumed", place, 3, place.finish(place.start(3)))


def two_resume(place: StudyPlace) -> Count:
    """The same command twice at the same moment, after the first was killed."""
    first = place.start(4)
    computed(place, 2)
    first.signal(signal.SIGKILL)
    first.wait(PATIENCE)
    both = [place.start(4), place.start(4)]
    return verdict("two resume at once", place, 4, all([place.finish(process) for process in both]))


def away(place: StudyPlace, server: postgres.Server, seconds: float) -> Count:
    """The database is away for a while amid trials."""
    process = place.start(4, workers=2)
    computed(place, 2)
    server.restart(pause=seconds)
    return verdict(f"database away for {seconds:g} s", place, 4, place.finish(process))


def verdict(fault: str, place: StudyPlace, trials: int, ended: bool) -> Count:
    """A fault that happens once."""
    wrong = place.sound(trials) if ended else "a command did not end well"
    return Count(fault, int(not wrong), 1, wrong or f"{rework(place)} epochs done twice")


def computed(place: StudyPlace, epochs: int) -> None:
    """Wait until so many epochs were computed."""
    if not until(lambda: len(study_toy.notes()) >= epochs, PATIENCE, LOOK):
        raise TimeoutError("What the fault waits for did not happen.")


def alive(pid: int) -> bool:
    """Whether a process is there; one that has ended and was not asked for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pictures(folder: Path) -> None:
    """Thirty grey pictures and their scores: the toys do not look at them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["image,mos"]
    for number in range(30):
        images.save_png(torch.full((3, 48, 48), 8 * number, dtype=torch.uint8), folder / f"{number}.png")
        rows.append(f"{number}.png,{100 * number / 29:.2f}")
    (folder / "scores.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def inject(fault: str, kill: int = 25, seconds: float = 60.0, seed: int = 0) -> Count:
    """One fault in a place of its own."""
    folder = Path(tempfile.mkdtemp(prefix="iqa-study-faults-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = stack.enter_context(postgres.Server()) if postgres.installed() else None
        place = StudyPlace(folder, server.address if server else f"sqlite:///{folder}/optuna.db")
        stack.callback(place.clear)
        if fault == "away":
            return away(place, server, seconds) if server else Count("database away", 0, 0, "no PostgreSQL here")
        if fault == "kills":
            return kills(place, kill, seed)
        return {"asleep": asleep, "last": last_dies, "two": two_resume}[fault](place)


FAULTS = ("kills", "asleep", "away", "last", "two")
OF_POSTGRES = ("kills", "away")  # whose rows in the table of faults are about a PostgreSQL


def main() -> int:
    """Inject faults and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", default=[], help=f"of {', '.join(FAULTS)}; all")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=60.0, help="that the database is away")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts = []
    for fault in given.faults or FAULTS:
        counts.append(inject(fault, given.kills, given.seconds, given.seed))
        one = counts[-1]
        verdict = f"{one.held} of {one.tried}" if one.tried else "not tried"
        print(f"{one.fault}: {verdict}" + (f" ({one.note})" if one.note else ""), flush=True)
    return int(any(one.held < max(1, one.tried) for one in counts))


if __name__ == "__main__":
    raise SystemExit(main())
