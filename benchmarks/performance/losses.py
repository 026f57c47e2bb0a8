"""Both losses of pretraining at N = 80 scores a crop and level, forward and backward."""

import statistics
from collections.abc import Callable, Iterator

import torch

from benchmarks.performance.rows import Row
from benchmarks.timing import turns
from iqa import losses, machine

IMAGES, LEVELS, TURNS = 80, 5, 200
LOSSES: dict[str, Callable[[torch.Tensor], dict[str, torch.Tensor]]] = {
    "simplified": lambda scores: losses.simplified(scores[..., 0], 2.5e-3, 6.75e-2, 1.0, 1.0),
    "full": lambda scores: losses.full(scores[..., 0], scores[..., 1], 2.5e-3, 6.75e-2, (1.0, 1.0, 1.0)),
}


def measured(full: bool) -> Iterator[Row]:
    """A row a loss."""
    machine.threads()
    scores = torch.rand(IMAGES, 2, LEVELS, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def step(loss: Callable[[torch.Tensor], dict[str, torch.Tensor]]) -> Callable[[], None]:
        return lambda: loss(scores)["total"].backward()

    seconds = turns({name: step(loss) for name, loss in LOSSES.items()}, TURNS)
    for name, found in seconds.items():
        about = f"{IMAGES} images × 2 crops × {LEVELS} levels, median of {TURNS}"
        yield Row(f"{name} loss, forward and backward", 1000 * statistics.median(found), "≤ 2 ms", about)
