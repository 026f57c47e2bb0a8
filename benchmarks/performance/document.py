"""docs/performance.md: a table of the rows that the measures have left."""

from pathlib import Path
from typing import Any

from benchmarks import marks
from benchmarks.performance import rows

FILE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"
MEASURES = {  # name → what it compares; in the order in which they run
    "help": "`iqa --help`",
    "losses": "Losses",
    "degradations": "Degradations, a batch against one image at a time",
    "pipeline": "The input pipeline",
    "tracking": "Tracking",
    "pretraining": "Pretraining against the bare loop",
    "finetuning": "Fine-tuning against the bare loop",
    "evaluation": "Evaluation against bare forward passes",
    "first_step": "The first training step",
    "finished": "A finished experiment, run again",
    "processes": "Two processes against one",
}
OTHERS = {  # commands of their own, which take longer or need what not every machine has
    "study_cost": "What a study costs beside its trials: `python -m benchmarks.study_machinery cost`",
    "study_pruning": "What pruning saves: `python -m benchmarks.study_machinery pruning`",
    "big_store": "A store with many runs: `python -m benchmarks.big_store`",
}
QUIET = 0.05  # of the processor: more for other processes, and the page says so


def write(file: Path = FILE, folder: Path = rows.FOLDER) -> None:
    """Put the tables between the two marks of the page."""
    marks.replace(file, BEGIN, END, f"{BEGIN}\n{tables(folder)}{END}")


def tables(folder: Path = rows.FOLDER) -> str:
    """A table for each measure that has rows, and what was missed."""
    titles = MEASURES | OTHERS
    kept = {name: rows.load(name, folder) for name in titles}
    every = [row for found in kept.values() for row in found]
    if not every:
        return "\nNot measured yet: `make bench` writes the tables.\n"
    missed = sum(not row["ok"] for row in every)
    reached = f"\n{len(every) - missed} of {len(every)} figures are reached.\n"
    return reached + "".join(_section(titles[name], found) for name, found in kept.items() if found)


def _section(title: str, found: list[dict[str, Any]]) -> str:
    made = found[0]
    others = f", other processes took {made['others']:.0%} of the processor" if made["others"] > QUIET else ""
    lines = [
        f"\n## {title}\n",
        f"{made['device']}, torch {made['torch']}, {made['date']}, commit {made['commit'][:10]}{others}.\n",
        "| measure | found | reach | | from |",
        "|---|---|---|---|---|",
    ]
    for row in found:
        shown = rows.Row(row["measure"], row["value"], row["reach"], row["about"])
        verdict = "" if row["ok"] else "**missed**"
        lines.append(f"| {shown.measure} | {shown.shown} | {shown.reach} | {verdict} | {shown.about} |")
    return "\n".join(lines) + "\n"
