"""How long a user waits for the first training step of `mlflow run . -e finetune`."""

import os
import statistics
import subprocess
import sys
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
    """The command ends itself after its first step; the data are there, the store is new each time."""
    with place() as environment:
        folder = Path(environment["HERE"])
        os.environ["IQA_CACHE"] = environment["IQA_CACHE"] = str(folder / "cache")
        subprocess.run([sys.executable, "-m", "iqa", "data", "prepare"], env=environment, cwd=folder, check=True)
        (folder / "empty").mkdir()
        (folder / "empty" / "MLproject").write_text(EMPTY)
        project = [sys.executable, "-m", "mlflow", "run", "--env-manager", "local"]
        commands = {
            "whole": [*project, "-e", "finetune", str(ROOT)],
            "empty": [*project, str(folder / "empty")],
            "imports": [sys.executable, "-c", IMPORTS],
        }
        ending = environment | {instants.VARIABLE: "after-step:1"}
        run = partial(subprocess.run, env=ending, cwd=folder, capture_output=True)
        seconds = turns({name: partial(run, command) for name, command in commands.items()}, TURNS)
    parts = {name: statistics.median(found) for name, found in seconds.items()} | {"step": first()}
    whole = parts.pop("whole")
    said = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
    about = f"{whole:.1f} s against {sum(parts.values()):.1f} ({said})"
    ratio = whole / sum(parts.values())
    yield Row("first step of `mlflow run . -e finetune` over its bare parts", ratio, "≤ 1.3", about)


def first() -> float:
    """Seconds of making the model and of its first step."""
    batch = config.load("finetune", {}, PRESET).optim.batch_size
    told = {"stage": "finetune", "preset": PRESET, "fields": {}, "batch": batch, "keep_memory": True}
    with Speaker(bare.NAME, told) as loop:
        said = loop.say(steps=1, micro=batch, channels_last=True)
    return said["built"] + said["seconds"]
