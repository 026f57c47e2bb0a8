"""Stages: generators from a config, one record an epoch, already logged and saved, then the stage's artifacts.

pretrain, finetune, evaluate; what they share: training (state, epochs), scoring (predictions, the model's artifact),
lineage (what a model has seen), probing, looking, diagnostics.
"""

from collections.abc import Callable, Generator
from typing import Any

Stage = Callable[[Any, Any], Generator[dict[str, float], None, None]]


def targets(config: Any) -> list[Any]:
    """The manifests of the sets that an evaluation's config names, in its order."""
    from iqa import datasets

    told = config.targets.model_dump(exclude={"names"})
    return [datasets.load(name, **told) for name in config.targets.names]


def stage(name: str) -> Stage:
    """The stage called `name`; its module is imported only now."""
    from importlib import import_module

    return getattr(import_module(f"iqa.stages.{name}"), name)
