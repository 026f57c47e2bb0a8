"""The harness is seen to fail: each protection switched off, and the trial that has to notice."""

from collections.abc import Callable
from typing import Any

from benchmarks.faults import damage, disks, hostile, kills, mismatch, outages, races, stops, troubles, warm, workers
from benchmarks.faults.home import Home
from benchmarks.faults.row import Outcome

SEED = 0
SHOWN = 160  # characters of what was noticed
NOTICED_BY: dict[str, tuple[Callable[..., Outcome], tuple[Any, ...]]] = {
    "temporary folder": (kills.at_instant, ("pretrain", "amid-write:5")),
    "manifest": (damage.damaged, ("flip 3 tensors.safetensors", SEED)),
    "one before": (damage.damaged, ("cut 0 state.json", SEED)),
    "plain tensors": (hostile.given, ("zipped",)),
    "journal": (kills.at_instant, ("pretrain", "epoch-end:1")),
    "original times": (kills.position_lost, ("pretrain",)),
    "lock": (races.race, ("pretrain",)),
    "sums": (kills.at_instant, ("pretrain", "after-step:3")),
    "own state": (kills.at_instant, ("finetune", "epoch-end:3")),
    "optimizer": (kills.at_instant, ("pretrain", "after-step:6")),
    "signals": (stops.command, ("pretrain", SEED, 1)),
    "stop's checkpoint": (stops.command, ("pretrain", SEED, 1)),
    "run's mark": (kills.at_instant, ("pretrain", "amid-joining:1")),
    "patience": (outages.away, ("pretrain", "server on SQLite", 20.0)),  # longer than MLflow itself tries again
    "steady clock": (troubles.clock_back, ("pretrain",)),
    "divergence": (troubles.diverged, ("pretrain",)),
    "tidying up": (disks.limited, ("pretrain", 0.5)),
    "strict loading": (mismatch.encoder, ("missing",)),
    "comparing with the config": (mismatch.another_config, ()),
    "exit code 75": (outages.at_end, ("pretrain",)),
    "what a checkpoint presupposes": (damage.presupposed, ("pretrain", "journal")),
    "whole lines": (damage.amid_journal, ("pretrain",)),
    "status": (stops.command, ("finetune", SEED, 1)),
    "parent's death": (stops.project, ("pretrain", SEED, 1)),
    "errors as sentences": (disks.read_only, ("pretrain",)),
    "retried trials": (workers.injected, ("last", SEED)),
}


def noticed(home: Home, name: str, protection: str) -> Outcome:
    """Whether the trial loses something without this protection."""
    function, given = NOTICED_BY[protection]
    wrong, note = function(home, name, *given, without=protection)
    if f"ended with {warm.BROKEN}" in wrong:
        return f"switching '{protection}' off broke the command itself: {wrong}", ""
    return ("", wrong[:SHOWN]) if wrong else (f"nobody noticed that '{protection}' was switched off", "")
