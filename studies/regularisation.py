"""How much dropout and weight decay does the head want? Also what a study takes: a docstring and a function.

    mlflow run . -e study -P name=regularisation -P trials=20

Space: dropout 0–0.6, weight_decay logarithmic over 1e-6–1e-1. Each trial fine-tunes. Value: the best epoch's validation
SRCC. Budget: 20 trials, Hyperband. Result: printed at the end of the command, and by it again at no cost.
"""

from typing import Any

import optuna


def suggest(trial: optuna.Trial) -> dict[str, dict[str, Any]]:
    """What a trial overrides, by stage."""
    return {
        "finetune": {
            "model.dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "optim.weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        }
    }
