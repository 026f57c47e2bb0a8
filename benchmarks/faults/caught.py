"""The harness is seen to fail: each protection switched off, the trial that has to notice, the loss that it names."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.faults import (
    beside,
    damage,
    disks,
    hostile,
    kills,
    mismatch,
    outages,
    races,
    stops,
    troubles,
    warm,
    workers,
)
from benchmarks.faults.home import Home
from benchmarks.faults.row import Outcome

SEED = 0
SHOWN = 160  # characters of what was noticed


@dataclass(frozen=True)
class Loss:
    """What happens without a protection: `said` is found in what the trial says is wrong, a regular expression."""

    said: str
    trial: Callable[..., Outcome]
    given: tuple[Any, ...]


NOTICED_BY: dict[str, Loss] = {
    "temporary folder": Loss(
        r"ended with 2: .*state\.json: no such file", kills.at_instant, ("pretrain", "amid-write:5")
    ),
    "manifest": Loss("the damage was not seen", damage.damaged, ("flip 3 tensors.safetensors", SEED)),
    "one before": Loss("nothing is left", damage.damaged, ("cut 0 state.json", SEED)),
    "plain tensors": Loss("it ran", hostile.given, ("zipped",)),
    "journal": Loss("history has", kills.at_instant, ("pretrain", "epoch-end:1")),
    "original times": Loss("history has", kills.position_lost, ("pretrain",)),
    "lock": Loss("the holder is not named", races.race, ("pretrain",)),
    "sums": Loss("history lacks pretrain seed 0: train/", kills.at_instant, ("pretrain", "after-step:3")),
    "own state": Loss("predictions are not finite numbers", kills.at_instant, ("finetune", "epoch-end:3")),
    "optimizer": Loss("history lacks pretrain seed 0: final/", kills.at_instant, ("pretrain", "after-step:6")),
    "signals": Loss("exit code -15 instead of 143", stops.command, ("pretrain", SEED, 1)),
    "stop's checkpoint": Loss("the stop itself did not save", stops.command, ("pretrain", SEED, 1)),
    "run's mark": Loss("runs has ", kills.at_instant, ("pretrain", "amid-joining:1")),
    # longer than MLflow itself tries again
    "patience": Loss("(params|tags|history) lacks ", outages.away, ("pretrain", "server on SQLite", 20.0)),
    "steady clock": Loss("times run backwards", troubles.clock_back, ("pretrain",)),
    "divergence": Loss(r"the store says \[\['FINISHED'", troubles.diverged, ("pretrain",)),
    "tidying up": Loss("temporary files are left", disks.limited, ("pretrain", 0.5)),
    "strict loading": Loss(r"expected, [1-9]\d* steps", mismatch.encoder, ("missing",)),
    "comparing with the config": Loss("a checkpoint of another config was taken", mismatch.another_config, ()),
    "exit code 75": Loss("exit code 0 instead of 75", outages.at_end, ("pretrain",)),
    "what a checkpoint presupposes": Loss("(params|tags|history) lacks ", damage.presupposed, ("pretrain", "journal")),
    "whole lines": Loss("sync ended with 0", damage.amid_journal, ("pretrain",)),
    "status": Loss("the store's runs are ", stops.command, ("finetune", SEED, 1)),
    "parent's death": Loss(r"there after|\[\('FINISHED'", stops.project, ("pretrain", SEED, 1)),
    "parent's death in a cell": Loss("it left processes behind", beside.experiment_killed, (SEED, 0.5)),
    "remedy for memory": Loss("the store says .*can't allocate memory", troubles.starved, ("pretrain",)),
    "a killed cell's end": Loss(r"the failed cells say \[\]", beside.cell_killed, ()),
    "data of a resumed run": Loss("inputs lacks", kills.at_instant, ("pretrain", "amid-joining:1")),
    "errors as sentences": Loss("exit code 70: .*raise .*ValueError", disks.read_only, ("pretrain",)),
    "retried trials": Loss("trials complete|not retried exactly once", workers.injected, ("last", SEED)),
}


def noticed(home: Home, name: str, protection: str) -> Outcome:
    """Whether the trial loses without this protection what it protects: any other failure proves nothing."""
    loss = NOTICED_BY[protection]
    wrong, _ = loss.trial(home, name, *loss.given, without=protection)
    if not wrong:
        return f"nobody noticed that '{protection}' was switched off", ""
    if f"ended with {warm.BROKEN}" in wrong:
        return f"switching '{protection}' off broke the command itself: {wrong}", ""
    if not re.search(loss.said, wrong):
        return f"without '{protection}' something else than '{loss.said}' was wrong: {wrong}", ""
    return "", wrong[:SHOWN]
