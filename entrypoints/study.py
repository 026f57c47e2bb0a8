"""mlflow run . -e study -P name=encoder_lr_ratio: an Optuna study, its trials as nested runs. The objective is a
validation SRCC, never a test set. The same command elsewhere joins, with the same storage."""

import os
import sys
from typing import Any

from . import command

FLAGS = {
    "preset": command.PRESET,
    "name": "a file of studies/",
    "trials": "how many in all, whoever computes them; 20",
    "workers": "processes here; 1",
    "study": "the name under which it is kept; NAME-PRESET",
    "seeds": "a trial's value is the mean over these; 0",
    "folds": "and over these folds of protocol kfold-5",
    "arm": "an arm of the experiment, whose pretraining every trial begins with",
    "experiment": "a file of experiments/; demo",
    "sampler": "tpe, gp, random or grid",
    "pruner": "hyperband, median or none",
    "storage": "sqlite:///FILE or postgresql://USER@HOST/NAME; $OPTUNA_STORAGE",
    "grace": "seconds of silence after which a worker counts as dead; 120",
    "offline": command.OFFLINE,
    "action": "search, or best: write the best values as a preset",
}


def main(argv: list[str] | None = None) -> int:
    """Search, or write down what was found."""
    words = sys.argv[1:] if argv is None else argv

    def work() -> None:
        given, rest = command.parse(__doc__, words, **FLAGS)
        from iqa import config, tracking

        command.refuse_others(rest, FLAGS, tuple(config.STAGES), " of the study")
        command.go_offline(given.offline)
        tracking.reach()
        search = command.sibling("studies.search")
        order, address = ordered(given, rest, command.said("study", words)), storage(given)
        grace = command.whole("grace", given.grace, search.GRACE)
        if given.action == "best":
            search.best(order, address, grace, print)
        elif given.action in ("", "search"):
            search.run(order, address, grace, command.whole("workers", given.workers, 1), command.ended, print)
        else:
            raise ValueError(f"action = '{given.action}': give search or best.")

    return command.ended(work)


def ordered(given: Any, rest: dict[str, str], said: str) -> Any:
    """The flags as the studies take them."""
    from iqa import experiment

    preset, name = given.preset or "demo", given.name or "encoder_lr_ratio"
    return command.sibling("studies.search").Order(
        name=name,
        study=given.study or f"{name}-{os.path.splitext(os.path.basename(preset))[0]}",
        preset=preset,
        trials=command.whole("trials", given.trials, 20),
        seeds=experiment.read_seeds(given.seeds or "0"),
        folds=experiment.read_seeds(given.folds) if given.folds else (),
        arm=given.arm,
        experiment=given.experiment,
        sampler=given.sampler or "tpe",
        pruner=given.pruner or "hyperband",
        overrides=rest,
        command=said,
    )


def storage(given: Any) -> str:
    """Where studies are kept: the flag, the environment, or a file in the working directory."""
    return given.storage or os.environ.get("OPTUNA_STORAGE") or "sqlite:///optuna.db"


if __name__ == "__main__":
    raise SystemExit(main())
