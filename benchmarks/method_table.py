"""The parts of the method against their controls, by linear probe and by fine-tuning, over five folds of a folder.

    python -m benchmarks.method_table --data FOLDER                # hours on a CPU; stopped and run again it goes on
    python -m benchmarks.method_table --data FOLDER --look         # only what is finished
    python -m benchmarks.method_table --data FOLDER --epochs=1      # any parameter of `main` besides

Runs experiments/method.yaml once for each fold of kfold-5 (finished cells are reused) and prints a Markdown table: per
arm the test SRCC, averaged over the folds of a seed, as mean ± standard deviation over the seeds, with their number.
A probe's columns are there where fine-tuning leaves the metrics probe/100/srcc and probe/10/srcc.
"""

import argparse
import math
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FOLDS = 5
COLUMNS = {"fine-tuned": r"test/[^/]+/srcc", "probe, all labels": r"probe/100/srcc", "probe, a tenth": r"probe/10/srcc"}


@dataclass(frozen=True)
class Tuned:
    """A finished fine-tuning run: which arm, seed and fold, and its metrics."""

    arm: str
    seed: str
    fold: int
    metrics: Mapping[str, float]


def table(runs: Iterable[Tuned], arms: Mapping[str, str]) -> str:
    """Markdown: a row for each arm (name → title), a column for each way to look at it that any run has."""
    found = {column: by_arm(runs, pattern) for column, pattern in COLUMNS.items()}
    columns = [column for column, values in found.items() if values]
    lines = [f"| arm | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for arm, title in arms.items():
        cells = [summary(found[column].get(arm, {})) for column in columns]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def by_arm(runs: Iterable[Tuned], pattern: str) -> dict[str, dict[str, list[float]]]:
    """{arm: {seed: the metric in each fold}} of the runs that have it."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        values = [value for name, value in run.metrics.items() if re.fullmatch(pattern, name)]
        if values:
            found[run.arm][run.seed].append(values[0])
    return found


def summary(seeds: Mapping[str, list[float]]) -> str:
    """ "0.712 ± 0.008 (3 seeds)": seeds with every fold only; an undefined fold makes its seed's mean undefined."""
    means = [math.fsum(folds) / FOLDS for folds in seeds.values() if len(folds) == FOLDS]
    missing = f", {len(seeds) - len(means)} unfinished" if len(means) < len(seeds) else ""
    if not means:
        return f"–{missing.removeprefix(',')}"
    spread = f" ± {statistics.stdev(means):.4f}" if len(means) > 1 else ""
    return f"{statistics.fmean(means):.4f}{spread} ({len(means)} seed{'s'[: len(means) != 1]}{missing})"


def fold_of(
    fold: int, given: argparse.Namespace, rest: dict[str, str], said: str
) -> tuple[list[Tuned], dict[str, str]]:
    """Run one fold of the experiment, or look at it; its finished fine-tuning runs, and the arms' titles."""
    from entrypoints import command
    from entrypoints.progress import Progress
    from iqa import experiment, machine, tracking

    split = {"protocol": f"kfold-{FOLDS}", "data.fold": str(fold)}
    plan = experiment.plan("method", given.preset, given.seeds, rest | split)
    at_once = machine.at_once(name=plan.device)
    if given.look:
        _, outcome = experiment.rewrite(plan, command=said, fills=said, say=lambda line: None)
    else:
        print(f"fold {fold}", flush=True)
        _, outcome = experiment.run(
            plan, command=said, show=Progress(), say=print, at_once=at_once, ready=command.ready
        )
    for sentence in outcome.failed:
        print(f"failed: {sentence}", file=sys.stderr)
    tuned = [cell for cell in outcome.cells if cell.stage == "finetune" and cell.key in outcome.done]
    rows = {cell.key: tracking.row(outcome.done[cell.key].run_id) for cell in tuned}
    titles = {name: arm.title for name, arm in plan.experiment.arms.items()}
    return [Tuned(cell.tags["arm"], cell.tags["seed"], fold, rows[cell.key].metrics) for cell in tuned], titles


def main(argv: list[str] | None = None) -> int:
    """Every fold, then the table."""
    from entrypoints import command

    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="")
    parser.add_argument("--seeds", default="")
    parser.add_argument("--look", action="store_true", help="compute nothing")
    given, rest = parser.parse_known_args(words)

    def work() -> int:
        said = " ".join(["python -m benchmarks.method_table", *words])
        runs: list[Tuned] = []
        titles: dict[str, str] = {}
        for fold in range(FOLDS):
            found, titles = fold_of(fold, given, command.overrides(rest), said)
            runs += found
        print(table(runs, titles))
        return 0

    return command.ended(work)


if __name__ == "__main__":
    raise SystemExit(main())
