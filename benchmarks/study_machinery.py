"""What a study costs beside its trials, and what pruning saves.

    python -m benchmarks.study_machinery cost     # seconds a trial and a start, against a 30-second trial
    python -m benchmarks.study_machinery pruning  # 20 trials with Hyperband against 20 full ones, demo data
    python -m benchmarks.study_machinery pruning --data FOLDER --preset laptop

cost: stages that take no time (benchmarks.study_toy), so that everything measured is machinery: database, tracking,
plots; on SQLite and, where it is installed, PostgreSQL. pruning: the same study and sampler, once with the pruner and
once without, each in an empty place, so that neither reuses what the other computed.
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
from benchmarks.study_faults import ROOT, pictures
from studies import search

TRIAL = 30.0  # seconds: what a trial is taken to need
ALLOWED = 0.05  # of a trial, for the machinery around it
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


def cost(trials: int) -> bool:
    """Print seconds a trial and a start on each kind of database; whether all of it stays within ALLOWED."""
    within = True
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
            share = (each + start / trials) / TRIAL
            within = within and share <= ALLOWED
            print(
                f"{kind}: {each:.2f} s a trial, {start:.1f} s a start; of {trials} trials of {TRIAL:g} s: {share:.1%}"
            )
    return within


@contextmanager
def nothing() -> Iterator[None]:
    """In the place of a server that is not installed."""
    yield None


def pruning(name: str, preset: str, data: str, trials: int, more: list[str]) -> bool:
    """Print time and best value with and without Hyperband; whether it is as fast and as good as it has to be."""
    took, best = {}, {}
    for pruner in ("hyperband", "none"):
        with place() as environment:
            words = [f"--name={name}", f"--preset={preset}", f"--trials={trials}", f"--pruner={pruner}"]
            words += [f"--data={Path(data).resolve() if Path(data).is_dir() else data}"] if data else []
            words += more
            took[pruner] = seconds("entrypoints.study", words, environment)
            found = [
                one for one in search.attempts(STUDY, environment["OPTUNA_STORAGE"]) if one.state.name == "COMPLETE"
            ]
            best[pruner] = max(trial.value for trial in found)
            print(
                f"{pruner}: {took[pruner]:.0f} s, {len(found)} of {trials} complete, best {best[pruner]:.4f}",
                flush=True,
            )
    ratio, behind = took["hyperband"] / took["none"], best["none"] - best["hyperband"]
    print(f"Hyperband takes {ratio:.0%} of the time and ends {behind:+.4f} validation SRCC behind the best full trial.")
    return ratio <= 0.6 and behind <= 0.01


def main() -> int:
    """Measure; exit code 1 where a figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cost", "pruning"))
    parser.add_argument("--name", default="encoder_lr_ratio")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--data", default="", help="a folder; the preset's own")
    parser.add_argument("--trials", type=int, default=20)
    given, more = parser.parse_known_args()  # what follows goes to the study
    if given.what == "cost":
        return int(not cost(given.trials))
    return int(not pruning(given.name, given.preset, given.data, given.trials, more))


if __name__ == "__main__":
    raise SystemExit(main())
