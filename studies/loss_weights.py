"""How much ranking, at which margin, on which degradations makes the best pretraining?

    mlflow run . -e study -P name=loss_weights -P trials=20

Space: lambda, the ranking term's weight with the consistency term's at 1, logarithmic over 0.1–10 (their ratio is what
matters, since AdamW does not see the loss's scale); m_rank, logarithmic over 0.02–0.4 (0.5 is the most that five levels
can have); families as categories, alone and together. Each trial pretrains, then fine-tunes.
Value: the best fine-tuning epoch's validation SRCC.
Budget: 20 trials, Hyperband on the fine-tuning's epochs.

Result: on 420 photographs (docs/studies/loss_weights; preset laptop, fold 0 of kfold-5, one seed): lambda 8.6, m_rank
0.19, noise and brightness, validation SRCC 0.540; lambda 0.53, m_rank 0.14, brightness alone reaches 0.539. Of six
complete trials the four with m_rank below 0.12 or with all families stay under 0.50; with 84 validation images and one
seed that orders little.
"""

from typing import Any

import optuna

FAMILIES = ("blur", "jpeg", "noise", "brightness", "blur,jpeg", "noise,brightness", "blur,jpeg,noise,brightness")


def suggest(trial: optuna.Trial) -> dict[str, dict[str, Any]]:
    """What a trial overrides, by stage."""
    return {
        "pretrain": {
            "loss.ranking": trial.suggest_float("lambda", 0.1, 10.0, log=True),
            "loss.m_rank": trial.suggest_float("m_rank", 0.02, 0.4, log=True),
            "families": trial.suggest_categorical("families", FAMILIES),
        }
    }
