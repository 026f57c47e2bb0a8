"""Stages: generators from a config, one record an epoch, already logged and saved, then the stage's artifacts.

pretrain, finetune, evaluate; what they share: state (what a checkpoint holds), training (epochs), pacing (how a step is
computed), scoring (predictions, the model's artifact), lineage (what a model has seen), probing, looking, showing,
diagnostics.
"""

from collections.abc import Callable, Generator
from typing import Any

Stage = Callable[[Any, Any], Generator[dict[str, float], None, None]]


def targets(config: Any) -> list[Any]:
    """The manifests of the sets that an evaluation's config names, in its order."""
    from iqa import datasets

    told = config.targets.model_dump(exclude={"names"})
    found = [datasets.load(name, **told) for name in config.targets.names]
    called: dict[str, Any] = {}  # metrics and predictions are kept under it
    for one in found:
        if one.name in called:
            raise datasets.DataError(
                f"two targets are called {one.name}, {called[one.name].root} and {one.root}: rename one of the "
                "folders, or evaluate them one after the other"
            )
        called[one.name] = one
    return found


def stage(name: str) -> Stage:
    """The stage called `name`; its module is imported only now."""
    from importlib import import_module

    return getattr(import_module(f"iqa.stages.{name}"), name)
