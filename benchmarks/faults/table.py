"""What the harness says: a line a trial, a table of counts a run."""

from benchmarks.faults.row import Row
from benchmarks.faults.running import Result

HEAD = "| fault | what has to come of it | held |\n|---|---|---:|"


def line(result: Result, done: int, of: int) -> str:
    """A trial as the console shows it."""
    verdict = f"LOST: {result.wrong}" if result.wrong else "held"
    note = f" ({result.note})" if result.note else ""
    return f"[{done}/{of}] {result.row}: {result.trial}: {verdict}{note}, {result.seconds:.0f} s"


def counts(rows: list[Row], results: list[Result]) -> dict[str, tuple[int, int]]:
    """Row → how many trials held, of how many."""
    found = {}
    for row in rows:
        own = [one for one in results if one.row == row.key and one.trial in row.trials]
        found[row.key] = (row.weight * sum(not one.wrong for one in own), row.weight * len(row.trials))
    return found


def table(rows: list[Row], results: list[Result]) -> str:
    """Markdown, a line a row."""
    held = counts(rows, results)
    lines = [f"| {row.fault} | {row.expected} | {held[row.key][0]} of {held[row.key][1]} |" for row in rows]
    return "\n".join([HEAD, *lines])


def losses(rows: list[Row], results: list[Result]) -> list[Result]:
    """The trials that did not hold."""
    keys = {row.key for row in rows}
    return [one for one in results if one.wrong and one.row in keys]
