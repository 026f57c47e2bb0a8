"""docs/faults.md: what the whole protocol counted."""

import datetime
import platform
from pathlib import Path

import torch

from benchmarks import marks
from benchmarks.faults import table
from benchmarks.faults.home import ROOT
from benchmarks.faults.row import Row
from benchmarks.faults.running import Result

FILE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- counts: written by `make faults` -->", "<!-- end of counts -->"


def write(rows: list[Row], results: list[Result], seed: int, file: Path = FILE) -> None:
    """Put the counts between the two marks of the page."""
    hours = sum(one.seconds for one in results) / 3600
    about = (
        f"{datetime.date.today().isoformat()}, seed {seed}, Python {platform.python_version()}, torch "
        f"{torch.__version__}, {len(results)} trials, {hours:.1f} hours of trials in all, two at a time."
    )
    text = f"{BEGIN}\n{about}\n\n{table.table(rows, results)}\n{notes(rows, results)}{END}"
    marks.replace(file, BEGIN, END, text)


def notes(rows: list[Row], results: list[Result]) -> str:
    """Every loss, and every trial for which the machine lacked something, named."""
    lost = [f"- {one.row}, {one.trial}: {one.wrong}" for one in table.losses(rows, results)]
    untried = [f"- {one.row}, {one.trial}: {one.lacks}" for one in table.untried(rows, results)]
    titled = {"Not held:": lost, "Not tried:": untried}
    return "".join("\n".join(["", title, "", *lines, ""]) for title, lines in titled.items() if lines)
