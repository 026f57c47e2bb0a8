"""The machinery of every study: a parent run, a nested run a trial, pruning by closing the stage's generator."""

import os
import re
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from types import ModuleType

import optuna

from iqa import config, experiment, tracking
from iqa.stages import stage as stage_of

FOLDER = Path(__file__).parent


def run(name: str, preset: str, trials: str, overrides: dict[str, str], said: str, say: Callable[[str], None]) -> float:
    """Search until `trials` trials are complete or pruned, going on where the study of this name stopped.

    Returns the best validation value. Raises ValueError for unknown names and ill-typed values.
    """
    space, wanted = find(name), count(trials)
    config.load(space.stage, overrides, preset)  # bad input ends here, before anything is written
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=f"{name}-{preset}", storage=storage(), direction="maximize", load_if_exists=True
    )
    folder = Path(os.environ.get("IQA_RUNS", "runs")) / f"study-{study.study_name}"
    tags = {"stage": "study", "preset": preset, "iqa.command": said}
    with tracking.open_run(
        "study", folder, name=f"study {name}", params={"name": name, "preset": preset}, tags=tags, reopen=True
    ) as parent:
        done = len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)))
        study.optimize(
            lambda trial: attempt(trial, space, preset, overrides, parent.run_id, say), max(0, wanted - done)
        )
        parent.metrics({"best/val_srcc": study.best_value, "trials": len(study.trials)}, len(study.trials))
        parent.tags({f"best.{key}": str(value) for key, value in study.best_params.items()})
    say(f"best of {len(study.trials)} trials: validation SRCC {study.best_value:.4f} with {study.best_params}")
    return study.best_value


def attempt(
    trial: optuna.Trial,
    space: ModuleType,
    preset: str,
    overrides: dict[str, str],
    parent: str,
    say: Callable[[str], None],
) -> float:
    """One trial: a stage with suggested values as a nested run; reports each epoch, and prunes by closing it."""
    values = space.suggest(trial)
    settings = config.load(space.stage, overrides | values, preset)
    cell = experiment.cell(space.stage, settings, {"preset": preset})
    folder = experiment.folder_of(cell)
    tags = cell.tags | {"stage": "trial", "trial": str(trial.number)}
    best = -1.0
    with tracking.open_run(
        "trial", folder, name=f"trial {trial.number}", params=config.flatten(settings), tags=tags, parent=parent
    ) as run:
        trial.set_user_attr("run", run.run_id)
        with closing(stage_of(space.stage)(settings, run)) as records:
            for epoch, record in enumerate(records, start=1):
                best = max(best, record[space.objective])
                trial.report(record[space.objective], epoch)
                if trial.should_prune():
                    run.tags({"pruned": f"after epoch {epoch}"})
                    break
            else:
                say(f"trial {trial.number}: {values} → {best:.4f}")
                return best
    say(f"trial {trial.number}: {values} pruned")
    raise optuna.TrialPruned


def find(name: str) -> ModuleType:
    """The study of that name. Raises ValueError with the nearest one."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "search"))
    if name not in names:
        raise ValueError(config.unknown("study", name, names))
    return import_module(f"{__package__}.{name}")


def count(trials: str) -> int:
    """A positive number of trials from the command line."""
    if not re.fullmatch(r"[1-9][0-9]*", trials):
        raise ValueError(f"trials = '{trials}': give a whole number from 1 on.")
    return int(trials)


def storage() -> str:
    """Where studies live: $OPTUNA_STORAGE, else one SQLite file beside the runs."""
    return os.environ.get("OPTUNA_STORAGE", "sqlite:///optuna.db")
