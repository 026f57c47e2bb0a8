"""Which encoder rate, as a share of the head's, fine-tunes best?

    mlflow run . -e study -P name=encoder_lr_ratio -P trials=20

Space: encoder_lr_ratio, logarithmic over 0.005–1. Each trial fine-tunes; with -P arm=pretrained from that arm's
encoder, which is pretrained once for all trials. Value: the best epoch's validation SRCC.
Budget: 20 trials, Hyperband.

Result: on 420 photographs (docs/studies/encoder_lr_ratio; preset laptop, arm pretrained, folds 0 and 1 of kfold-5, one
seed): 0.042, validation SRCC 0.628. The four trials that were not pruned lie between 0.02 and 0.064 and within 0.01 of
it; everything above 0.07 was pruned (the preset has 0.5). For the arm baseline (docs/studies/encoder_lr_ratio_baseline)
0.018, 0.621; of its three trials that were not pruned the one at 0.20 has 0.620, so there the rate hardly matters.
"""

from typing import Any

import optuna


def suggest(trial: optuna.Trial) -> dict[str, dict[str, Any]]:
    """What a trial overrides, by stage."""
    return {"finetune": {"encoder_lr_ratio": trial.suggest_float("encoder_lr_ratio", 0.005, 1.0, log=True)}}
