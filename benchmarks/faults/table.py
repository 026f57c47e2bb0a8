"""What the harness says: a line a trial, a table of counts a run."""

from dataclasses import dataclass

from benchmarks.faults.row import Row
from benchmarks.faults.running import Result

HEAD = "| fault | what has to come of it | held |\n|---|---|---:|"


def line(result: Result, done: int, of: int) -> str:
    """A trial as the console shows it."""
    verdict = f"LOST: {result.wrong}" if result.wrong else "held"
    verdict = f"NOT TRIED: {result.lacks}" if result.lacks else verdict
    note = f" ({result.note})" if result.note else ""
    return f"[{done}/{of}] {result.row}: {result.trial}: {verdict}{note}, {result.seconds:.0f} s"


@dataclass(frozen=True)
class Count:
    """Of a row's faults: how many held, of how many, and how many of these were not tried."""

    held: int
    of: int
    untried: int

    def __str__(self) -> str:
        return f"{self.held} of {self.of}" + (f", {self.untried} not tried" if self.untried else "")


def counts(rows: list[Row], results: list[Result]) -> dict[str, Count]:
    """Row → its count."""
    found = {}
    for row in rows:
        own = [one for one in results if one.row == row.key and one.trial in row.trials]
        held = sum(not one.wrong and not one.lacks for one in own)
        untried = sum(bool(one.lacks) for one in own)
        found[row.key] = Count(row.weight * held, row.weight * len(row.trials), row.weight * untried)
    return found


def table(rows: list[Row], results: list[Result]) -> str:
    """Markdown, a line a row."""
    counted = counts(rows, results)
    lines = [f"| {row.fault} | {row.expected} | {counted[row.key]} |" for row in rows]
    return "\n".join([HEAD, *lines])


def losses(rows: list[Row], results: list[Result]) -> list[Result]:
    """The trials that did not hold."""
    keys = {row.key for row in rows}
    return [one for one in results if one.wrong and one.row in keys]


def untried(rows: list[Row], results: list[Result]) -> list[Result]:
    """The trials for which this machine lacks something."""
    keys = {row.key for row in rows}
    return [one for one in results if one.lacks and one.row in keys]
