"""How long things take; several in turns, so that whatever else the computer does falls on each of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping

Work = Callable[[], object]
Clock = Callable[[], float]


def timed(work: Work, clock: Clock = time.perf_counter) -> float:
    """Seconds that a call takes."""
    began = clock()
    work()
    return clock() - began


def median_of(count: int, work: Work) -> float:
    """Seconds: the median of so many calls."""
    return statistics.median(timed(work) for _ in range(count))


def turns(works: Mapping[str, Work], count: int, clock: Clock = time.perf_counter) -> dict[str, list[float]]:
    """Seconds of each in each of `count` turns, every other one backwards; a first call of each does not count."""
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(count):
        for name in works if turn % 2 else reversed(works):
            seconds[name].append(timed(works[name], clock))
    return seconds


def ratio(seconds: Mapping[str, list[float]], upper: str, lower: str) -> float:
    """How many times as long `upper` takes as `lower`: the median of the turns' ratios."""
    return statistics.median(u / low for u, low in zip(seconds[upper], seconds[lower], strict=True))
