"""How long a user waits for the first training step of `mlflow run . -e finetune`."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.performance import bare
from benchmarks.performance.conversation import Speaker
from benchmarks.performance.rows import Row
from benchmarks.study_faults import ROOT
from benchmarks.study_machinery import place
from benchmarks.timing import turns
from iqa import config, instants

TURNS = 3
PRESET = "demo"  # of the bare command
IMPORTS = "import torch, timm, mlflow"  # of a training script that logs
EMPTY = "name: empty\nentry_points:\n  main:\n    command: python -c pass\n"


def measured(full: bool) -> Iterator[Row]:
    """The command ends itself after its first step; the data are there, store and run are new each time."""
    with tempfile.TemporaryDirectory(prefix="iqa-performance-") as folder:
        os.environ["IQA_CACHE"] = str(Path(folder, "cache"))
        subprocess.run([sys.executable, "-m", "iqa", "data", "prepare"], cwd=folder, check=True, capture_output=True)
        (Path(folder) / "MLproject").write_text(EMPTY)
        imports = partial(subprocess.run, [sys.executable, "-c", IMPORTS], check=True)
        works = {"whole": whole, "empty": partial(run, folder), "imports": imports}
        seconds = turns(works, TURNS)
    parts = {name: statistics.median(found) for name, found in seconds.items()} | {"step": first()}
    took = parts.pop("whole")
    said = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
    ratio, about = took / sum(parts.values()), f"{took:.1f} s against {sum(parts.values()):.1f} ({said})"
    yield Row("first step of `mlflow run . -e finetune` over its bare parts", ratio, "≤ 1.3", about)


def whole() -> None:
    """Up to the first step. Raises RuntimeError if it ended in another way."""
    with place() as environment:
        said = run(str(ROOT), "-e", "finetune", **{instants.VARIABLE: "after-step:1"}, **environment)
        journals = list(Path(environment["IQA_RUNS"]).rglob("journal.jsonl"))
        if len(journals) != 1 or '"what": "end"' in journals[0].read_text():
            raise RuntimeError(f"mlflow run did not end at its first step: {said[-2000:]}")


def run(*words: str, **environment: str) -> str:
    """`mlflow run` in this environment: what it said."""
    command = [sys.executable, "-m", "mlflow", "run", "--env-manager", "local", *words]
    found = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # the project's own `python`
    done = subprocess.run(command, env=os.environ | environment | found, capture_output=True, text=True)
    return done.stdout + done.stderr


def first() -> float:
    """Seconds of making the model and of its first step."""
    batch = config.load("finetune", {}, PRESET).optim.batch_size
    told = {"stage": "finetune", "preset": PRESET, "fields": {}, "batch": batch, "keep_memory": True}
    with Speaker(bare.NAME, told) as loop:
        said = loop.say(steps=1, micro=batch, channels_last=True)
    return said["built"] + said["seconds"]
