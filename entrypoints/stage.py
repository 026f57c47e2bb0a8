"""A single stage from the command line: config, cell, run; in several processes where they are asked for."""

import sys
from typing import Any

from . import command, ending, processes
from .progress import Progress


def run(name: str, description: str | None, argv: list[str] | None) -> int:
    """What the entry point of a stage does; the exit code."""
    words = sys.argv[1:] if argv is None else argv

    def work() -> int:
        flags = {"preset": command.PRESET, "offline": command.OFFLINE}
        given, rest = command.parse(description, words, (name,), **flags)
        command.refuse_others(rest, flags, (name,), f" of {name}")
        command.go_offline(given.offline)
        preset = given.preset or "demo"
        settings = processes.settings(name, rest, preset)
        if count := processes.wanted(settings.compute):
            from iqa import launching

            return launching.launch(name, words, count)
        processes.meet(settings.compute)
        return computed(name, settings, preset, words)

    return command.ended(work)


def computed(name: str, settings: Any, preset: str, words: list[str]) -> int:
    """Compute a stage's cell, this process alone or with the others that it has met; the exit code."""
    from iqa import distributed, experiment, tracking

    def begun() -> Any:
        tracking.reach()  # before any data are read
        return experiment.cell(name, filled(name, settings), {"preset": preset})

    try:
        cell = distributed.from_first(begun)
        show = Progress() if distributed.leads() else None
        given = command.said(name, [*words, *processes.left_out(command.typed(words), settings.compute)])
        result = experiment.compute(cell, show=show, command=given)
    except tracking.Stopped as stop:
        if distributed.leads():
            raise
        distributed.leave()
        return command.STOPPED + int(stop.signal)
    if distributed.leads():
        ending.finish(name, result.run_id, preset)
    distributed.leave()
    return 0


def filled(name: str, settings: Any) -> Any:
    """A bare evaluation takes the newest finished fine-tuning run, and says which."""
    if name != "evaluate" or settings.weights:
        return settings
    from iqa import tracking

    rows = tracking.rows(status="FINISHED", tags={"stage": "finetune"})
    if not rows:
        raise ValueError("There is no finished fine-tuning run to evaluate: run -e finetune first, or give weights.")
    print(f"evaluating the newest finished fine-tuning run, {rows[0].name} ({rows[0].run_id})")
    return settings.model_copy(update={"weights": f"runs:/{rows[0].run_id}/model"})
