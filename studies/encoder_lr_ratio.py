"""Which encoder rate, as a share of the head's, fine-tunes best?

    mlflow run . -e study -P name=encoder_lr_ratio -P trials=20

Space: encoder_lr_ratio, logarithmic over 0.005–1. Each trial fine-tunes; with -P arm=pretrained from that arm's
encoder, which is pretrained once for all trials. Value: the best epoch's validation SRCC.
Budget: 20 trials, Hyperband. Result: printed at the end of the command, and by it again at no cost.
"""

from typing import Any

import optuna


def suggest(trial: optuna.Trial) -> dict[str, dict[str, Any]]:
    """What a trial overrides, by stage."""
    return {"finetune": {"encoder_lr_ratio": trial.suggest_float("encoder_lr_ratio", 0.005, 1.0, log=True)}}
