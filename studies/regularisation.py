"""How much dropout and weight decay does the head want? Also what a study takes: a docstring and a function.

    mlflow run . -e study -P name=regularisation -P trials=20

Space: dropout 0–0.6, weight_decay logarithmic over 1e-6–1e-1. Each trial fine-tunes. Value: the best epoch's validation
SRCC. Budget: 20 trials, Hyperband.

Result: on 420 photographs (docs/studies/regularisation; preset laptop, folds 0 and 1 of kfold-5, one seed): dropout
0.43 with a weight decay of 6e-3, validation SRCC 0.588. Five trials were not pruned; the two with the smallest weight
decays (4e-6, 4e-5) are the last of them (0.533, 0.543), and importance is shared about equally.
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
