"""Which encoder rate, as a share of the head's, fine-tunes best?

    mlflow run . -e study -P name=encoder_lr_ratio -P trials=20

Space: optim.encoder_lr_ratio, logarithmic over 0.005–1. Objective: the best epoch's validation SRCC.
Budget and result: not measured yet; the study that this describes is to be run on real photographs.
"""

from typing import Any

import optuna

stage = "finetune"
objective = "val/srcc"


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """The overrides of one trial, by dotted name."""
    return {"optim.encoder_lr_ratio": trial.suggest_float("optim.encoder_lr_ratio", 0.005, 1.0, log=True)}
