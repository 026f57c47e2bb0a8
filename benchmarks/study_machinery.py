"""What a study costs beside its trials, and what pruning saves.

    python -m benchmarks.study_machinery cost     # seconds a trial and a start, against a 30-second trial
    python -m benchmarks.study_machinery pruning  # 20 trials with Hyperband against 20 full ones, demo data
    python -m benchmarks.study_machinery pruning --data FOLDER --preset laptop

cost: stages that take no time (benchmarks.study_toy), so that everything measured is machinery: database, tracking,
plots; on SQLite and, where it is installed, PostgreSQL. pruning: the same study and sampler, once with the pruner and
once without, each in an empty place, so that neither reuses what the other computed. Without further words the rows are
left under benchmarks/results/performance/.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import postgres
from benchmarks.performance.rows import Row, disturbance, printed, save
from benchmarks.study_faults import ROOT, pictures
from studies import search

TRIAL = 30.0  # seconds: what a trial is taken to need
STUDY, EPOCHS = "measured", 5


@contextmanager
def place() -> Iterator[dict[str, str]]:
    """The environment of commands that leave everything in an empty folder, which goes when it is left."""
    with tempfile.TemporaryDirectory(prefix="iqa-study-") as folder:
        yield os.environ | {
            "HERE": folder,
            "IQA_TOY_LOG": f"{folder}/toy.jsonl",
            "IQA_RUNS": f"{folder}/runs",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "OPTUNA_STORAGE": f"sqlite:///{folder}/optuna.db",
            "PYTHONPATH": str(ROOT),
        }


def seconds(module: str, words: list[str], environment: dict[str, str]) -> float:
    """How long a study command takes. Raises RuntimeError with what it said if it fails."""
    command = [sys.executable, "-m", module, f"--study={STUDY}", *words]
    began = time.monotonic()
    done = subprocess.run(command, env=environment, cwd=environment["HERE"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.monotonic() - began


def cost(trials: int) -> Iterator[Row]:
    """The machinery's share of a trial, on each kind of database that there is."""
    with postgres.Server() if postgres.installed() else nothing() as server:
        kinds = {"SQLite": ""} | ({"PostgreSQL": server.address} if server else {})
        for kind, address in kinds.items():
            with place() as environment:
                pictures(Path(environment["HERE"], "photos"))
                if address:
                    environment["OPTUNA_STORAGE"] = address
                words = ["--preset=smoke", f"--data={environment['HERE']}/photos", f"--epochs={EPOCHS}"]
                words += ["--pruner=none", "--compute.threads=1"]
                seconds("benchmarks.study_toy", [*words, "--trials=2"], environment)  # makes the tables
                start = seconds("benchmarks.study_toy", [*words, "--trials=2"], environment)  # finds all of it done
                whole = seconds("benchmarks.study_toy", [*words, f"--trials={2 + trials}"], environment)
            each = (whole - start) / trials
            about = f"{trials} trials of {EPOCHS} epochs: {each:.2f} s each, {start:.1f} s for the start"
            share = 100 * (each + start / trials) / TRIAL
            yield Row(f"a study's machinery, of a trial of {TRIAL:g} s, {kind}", share, "≤ 5 %", about)


@contextmanager
def nothing() -> Iterator[None]:
    """In the place of a server that is not installed."""
    yield None


def pruning(name: str, preset: str, data: str, trials: int, more: list[str]) -> Iterator[Row]:
    """Time and best value with Hyperband against those without."""
    took, best, complete = {}, {}, {}
    for pruner in ("hyperband", "none"):
        with place() as environment:
            words = [f"--name={name}", f"--preset={preset}", f"--trials={trials}", f"--pruner={pruner}"]
            words += [f"--data={Path(data).resolve() if Path(data).is_dir() else data}"] if data else []
            words += more
            took[pruner] = seconds("entrypoints.study", words, environment)
            found = [
                one for one in search.attempts(STUDY, environment["OPTUNA_STORAGE"]) if one.state.name == "COMPLETE"
            ]
            best[pruner], complete[pruner] = max(trial.value for trial in found), len(found)
    about = f"{name}, {preset}, {trials} trials: " + ", ".join(
        f"{pruner} {took[pruner]:.0f} s, {complete[pruner]} complete, best {best[pruner]:.4f}" for pruner in took
    )
    yield Row("trials with Hyperband, time over that of full ones", took["hyperband"] / took["none"], "≤ 0.6", about)
    yield Row("their best validation SRCC, behind that of full ones", best["none"] - best["hyperband"], "≤ 0.01", about)


def main() -> int:
    """Measure, leave the rows of what is not changed by the command line; 0 whatever they are, as in `make bench`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cost", "pruning"))
    parser.add_argument("--name", default="encoder_lr_ratio")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--data", default="", help="a folder; the preset's own")
    parser.add_argument("--trials", type=int, default=20)
    given, more = parser.parse_known_args()  # what follows goes to the study
    asked = (given.name, given.preset, given.data, given.trials, more)
    with disturbance() as others:
        found = list(printed(cost(given.trials) if given.what == "cost" else pruning(*asked)))
    if len(sys.argv) == 2:
        save(f"study_{given.what}", found, others[0])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
