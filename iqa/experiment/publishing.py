"""The experiment as a command: its parent run, the steps below it, the parent's numbers and the report."""

import csv
import hashlib
import json
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from iqa import report, tracking
from iqa.experiment import cells
from iqa.experiment.cells import Show
from iqa.experiment.matrix import Plan, places
from iqa.experiment.planning import changed
from iqa.experiment.running import Choice, Outcome, found, hired, settled, steps
from iqa.experiment.searched import searched
from iqa.experiment.telling import describe
from iqa.report.bundle import EXPERIMENT, NUMBERS

REPORTS = Path("reports")


class Incomplete(ValueError):
    """Cells failed: the parent run says which, and ends as its command does."""


def run(
    plan: Plan,
    *,
    command: str,
    show: Show,
    say: Callable[[str], None],
    choice: Choice | None = None,
    at_once: int = 1,
    ready: Callable[[], None] = lambda: None,
) -> tuple[report.Report, Outcome]:
    """Run (or continue, or reuse) everything that the plan asks for, and write its report.

    at_once: cells that are computed side by side, each in a process of its own, in which `ready` is called first.
    """
    chosen = choice or Choice()

    def computed(parent: str) -> Outcome:
        cells.data.cache_clear()
        outcome = Outcome()
        with hired(at_once, parent, show, outcome, ready) as hands:
            return steps(plan, outcome, lambda cell: settled(cell, outcome, say, chosen), hands)

    return under(plan, "experiment", command, chosen, computed)


def rewrite(
    plan: Plan, *, command: str, fills: str, say: Callable[[str], None], choice: Choice | None = None
) -> tuple[report.Report, Outcome]:
    """Write the report from what is finished, and compute nothing.

    Raises ValueError where nothing is finished and the report that is there has runs: it would be replaced by an empty
    one.
    """
    chosen = Choice(accept_code=choice is not None and choice.accept_code)  # computed again: nothing is, here
    tracking.reap()  # the report lists what a killed process left as such
    outcome = found(plan, say, chosen)
    for sentence in changed(outcome, chosen):
        say(sentence)
    there = written_runs(plan)
    if there and not outcome.done:
        raise ValueError(
            f"No cell of {plan.experiment.name} is finished as it would be computed now, and {report_folder(plan)} was "
            f"written from {there} finished cells: give --accept-code to reuse what other code finished, or move that "
            "folder away."
        )
    return under(plan, "report", command, chosen, lambda parent: outcome, fills)


def under(
    plan: Plan, stage: str, command: str, choice: Choice, computed: Callable[[str], Outcome], fills: str = ""
) -> tuple[report.Report, Outcome]:
    """Open the parent run, settle the cells, publish; fills: the command that computes what is missing."""
    name = plan.experiment.name
    folder = tracking.runs_folder() / f"{stage}-{identity(plan)[:12]}"
    tags = {"stage": stage, "preset": plan.preset, "experiment": name, "iqa.command": command}
    params = {"experiment": name, "preset": plan.preset, "seeds": ",".join(map(str, plan.experiment.seeds))}
    title = plan.experiment.title
    opened = tracking.open_run(stage, folder, name=name, params=params, tags=tags, description=title, reopen=True)
    with suppress(Incomplete), opened as parent:
        outcome = computed(parent.run_id)
        written = publish(plan, outcome, parent, fills or command, choice.accept_code)
        if outcome.failed:
            raise Incomplete(f"Cells failed, and the same command tries them again: {'; '.join(outcome.failed)}")
    return written, outcome


def identity(plan: Plan) -> str:
    """Of the whole command: the same one, run again, goes on in the same parent run."""
    content = [plan.experiment.model_dump(mode="json"), plan.preset, plan.overrides]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def report_folder(plan: Plan) -> Path:
    """Where the report of this command lies."""
    return REPORTS / f"{plan.experiment.name}-{identity(plan)[:8]}"


def publish(plan: Plan, outcome: Outcome, parent: Any, command: str, accept_code: bool) -> report.Report:
    """The parent's headline numbers, description and report, from the finished runs."""
    now = outcome.runs if outcome.runs.still else tracking.Snapshot()
    others = [(other, found(other, lambda line: None, Choice(accept_code=accept_code), now)) for other in plan.shown]
    described = describe(plan, outcome, command)
    described |= {"redeclared": redeclared(plan, now.rows), "studies": searched(plan, described["runs"], now.rows)}
    ids = {result.run_id for one in (outcome, *(other for _, other in others)) for result in one.done.values()}
    ids |= {study["run"] for behind in described["studies"].values() for study in behind}
    keys = {cell.key for cell in outcome.cells}
    failed = {"FAILED", "KILLED"}
    rows = [row for row in now.rows if row.run_id in ids or (row.tags.get("cell") in keys and row.status in failed)]
    kept = tracking.Snapshot(rows)
    written = report.build(
        rows,
        kept.history,
        kept.fetch,
        described | {"shown": [describe(*one, told(command, one[0])) for one in others]},
        kept.url,
        report_folder(plan),
    )
    parent.metrics(written.metrics, parent.openings)
    parent.note(written.markdown_summary)
    parent.artifact(written.folder, "report")
    return written


def redeclared(plan: Plan, rows: Sequence[tracking.RunRow]) -> list[str]:
    """Finished runs of this experiment that have scores and were made under another declaration, oldest first.

    Of its preset alone: who tried the commands with `smoke` has seen no result.
    """
    own, about = plan.experiment.declaration, {"experiment": plan.experiment.name, "preset": plan.preset}
    scored = (row for row in rows if row.status == "FINISHED" and row.tags.get("stage") in ("finetune", "evaluate"))
    ours = (row for row in scored if about.items() <= row.tags.items())
    return [row.run_id for row in ours if row.tags.get("experiment.hash", own) != own][::-1]


def told(command: str, other: Plan) -> str:
    """The same command for another experiment."""
    words = shlex.split(command)
    if "--experiment" in words:
        at = words.index("--experiment")
        del words[at : at + 2]
    words = [word for word in words if not word.startswith("--experiment=")]
    return shlex.join([*words, f"--experiment={other.experiment.name}"])


def check(plan: Plan) -> list[str]:
    """A sentence for every number, page and table of the experiment's report that its runs do not give any more."""
    runs = tracking.Snapshot()
    return report.check(report_folder(plan), runs.rows, runs.history, runs.fetch, runs.url)


def unfilled(plan: Plan) -> tuple[int, int]:
    """How many numbers the written report has, and how many of the experiment's cells it had no finished run of."""
    with (report_folder(plan) / NUMBERS).open(encoding="utf-8", newline="") as lines:
        numbers = sum(1 for _ in csv.DictReader(lines))
    return numbers, len(list(places(plan))) - written_runs(plan)


def bundle(plan: Plan, target: Path) -> Path:
    """The evidence of the experiment's written report as a zip. Raises ValueError where there is none."""
    if not written_runs(plan):
        raise ValueError(f"{report_folder(plan)} rests on no finished cell, so there is nothing to put into {target}.")
    runs = tracking.Snapshot()
    return report.pack(report_folder(plan), runs.rows, runs.history, runs.fetch, target)


def written_runs(plan: Plan) -> int:
    """How many cells had a finished run when the report of this command was written; 0 where none was."""
    try:
        told = json.loads((report_folder(plan) / EXPERIMENT).read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):  # a damaged one is no loss to write anew
        return 0
    return len(told.get("runs", ()))
