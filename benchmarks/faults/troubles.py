"""What a run meets by itself: a loss that is no number, memory that runs out, a clock that is set back."""

import json
import math
from typing import Any

import torch

from benchmarks.faults.attempt import counted
from benchmarks.faults.home import Home
from benchmarks.faults.kills import resumed
from benchmarks.faults.place import PATIENCE, Place
from benchmarks.faults.row import Outcome
from entrypoints.command import BAD_INPUT
from iqa import checkpoint, tracking
from iqa.tracking import journal

HOUR = 3600.0
STARVED = 3  # the step after which there is no memory
LONGEST = 60.0  # seconds for a command without memory to end
WILD = 4  # the step after which the rate is one that no net bears: in the second epoch


def diverged(home: Home, name: str, stage: str, without: str = "") -> Outcome:
    """The rate becomes one that no net bears: the state before the step that broke it is kept, and is never "best"."""
    with Place(home, name, without) as place:
        code = place.start(stage, wild=WILD).wait(PATIENCE)
        found = place.ask(_told)
        wrong = [f"exit code {code}"] if code != BAD_INPUT else []
        fine = len(found) == 1 and found[0][0] == "FAILED" and "stopped being a number" in found[0][1]
        wrong += [] if fine else [f"the store says {found}"]
        broke, epochs = (counted(place.folder, instant) for instant in ("after-step", "epoch-end"))
        wrong += kept(place, broke - 1) if broke > WILD else [f"only {broke} steps were done"]
        best = [int(path.name.partition("-")[2]) for path in (place.run_folder() / "best").glob("step-*")]
        wrong += [f"epoch {max(best)} is kept as the best one of {epochs}"] if max(best, default=0) > epochs else []
        return "; ".join(wrong), f"broken by step {broke}"


def kept(place: Place, step: int) -> list[str]:
    """What is wrong with the newest checkpoint, which has to be this step's, and finite."""
    newest = checkpoint.latest(place.run_folder() / "checkpoints")
    if newest is None or newest[0] != step:
        return [f"the newest checkpoint is of step {newest and newest[0]} instead of {step}"]
    return [] if finite(newest[1]) else [f"the checkpoint of step {step} is not finite"]


def _told() -> list[tuple[str, str]]:
    return [(row.status, row.tags.get("iqa.reason", "")) for row in tracking.rows()]


def finite(tree: Any) -> bool:
    """Whether every weight in a checkpoint, and every sum of losses, is a number."""
    return all(bool(torch.isfinite(value).all()) for part in ("weights", "sums") for value in tree[part].values())


def starved(home: Home, name: str, stage: str, without: str = "") -> Outcome:
    """The memory runs out amid the steps: the run fails soon, and says what to do; with memory the command goes on."""
    with Place(home, name, without) as place:
        code = place.start(stage, starved=STARVED).wait(LONGEST)
        found = place.ask(_told)
        wrong = [f"exit code {code}"] if code != BAD_INPUT else []
        named = len(found) == 1 and all(part in found[0][1] for part in ("memory ran out", "batch_size is 6"))
        wrong += [] if named and found[0][0] == "FAILED" else [f"the store says {found}"]
        return (f"{'; '.join(wrong)}: {place.said()}", "") if wrong else resumed(place, stage, kills=1)


def clock_back(home: Home, name: str, stage: str, without: str = "") -> Outcome:
    """An hour, after the first step."""
    with Place(home, name, without) as place:
        if code := place.finish(stage, back=HOUR):
            return f"exit code {code}: {place.said()}", ""
        lines = (place.run_folder() / journal.NAME).read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        times = [entry["time"] for entry in entries]
        values = [value for entry in entries if entry["what"] == "metrics" for value in entry["values"].items()]
        costs = [value for key, value in values if key.startswith("cost/")]
        wrong = ["times run backwards"] if times != sorted(times) else []
        wrong += ["a cost is negative"] if any(value < 0 or not math.isfinite(value) for value in costs) else []
        spans = place.ask(_spans)
        wrong += ["the run ends before it begins"] if any(end < start for start, end in spans) else []
        return "; ".join(wrong) or place.wrong(stage), ""


def _spans() -> list[tuple[int, int]]:
    return [(row.start, row.end or 0) for row in tracking.rows()]
