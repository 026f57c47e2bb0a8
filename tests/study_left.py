"""What a study command has left, as the tests of studies look at it."""

import optuna

from iqa import tracking

NAME = "encoder_lr_ratio-smoke"  # of a study to which no command gave another


def runs(stage):
    """The runs of a stage, oldest first."""
    return [row for row in reversed(tracking.rows()) if row.tags["stage"] == stage]


def kept(home, name=NAME):
    """The study as Optuna has it."""
    return optuna.load_study(study_name=name, storage=f"sqlite:///{home}/optuna.db")


def states(home):
    """How the attempts at its trials ended."""
    return [trial.state.name for trial in kept(home).trials]
