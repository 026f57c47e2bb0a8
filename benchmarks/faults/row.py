"""A row of the table: a fault, what has to come of it, and its trials."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

Outcome = tuple[str, str]  # what is wrong, "" if nothing; what else there is to say


class Untried(Exception):
    """A trial's third outcome: this machine lacks what it needs, so that it has neither held nor lost anything."""


@dataclass(frozen=True)
class Row:
    """key: its name on the command line; trials: name → what is tried; weight: faults that each of them injects."""

    key: str
    fault: str
    expected: str
    trials: dict[str, Callable[[], Outcome]] = field(default_factory=dict)
    weight: int = 1

    def sampled(self, count: int, seed: int) -> "Row":
        """The same row with some of its trials, drawn."""
        draw = random.Random(f"{seed} {self.key}")
        names = sorted(draw.sample(sorted(self.trials), min(count, len(self.trials))))
        return replace(self, trials={name: self.trials[name] for name in names})


def trials(function: Callable[..., Outcome], home: Any, **arguments: tuple[Any, ...]) -> dict[str, Any]:
    """name → function(home, name, *arguments)."""
    return {name: partial(function, home, name, *given) for name, given in arguments.items()}
