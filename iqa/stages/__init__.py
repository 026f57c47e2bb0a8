"""Stages: generators from a config, one record an epoch, already logged and saved, then the stage's artifacts."""

from collections.abc import Callable, Iterator
from typing import Any

Stage = Callable[[Any, Any], Iterator[dict[str, float]]]


def stage(name: str) -> Stage:
    """The stage called `name`; its module is imported only now."""
    from importlib import import_module

    return getattr(import_module(f"iqa.stages.{name}"), name)
