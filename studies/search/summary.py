"""A study as its parent run shows it: best values, a table, plots with the CSV behind them."""

import csv
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from iqa import tracking

from .claims import Desk, latest, reason
from .order import Order
from .steps import BEST

LISTED = 50  # trials in the table of the run's description
ENOUGH = 2  # complete trials, for an importance
VALUE = "validation SRCC"
DPI, SIZE = 120, (7.0, 4.5)  # inches
WIDTH = 3.0  # inches, at least, of each of several plots side by side


def counts(trials: list[FrozenTrial]) -> dict[str, int]:
    """{complete, pruned, failed: how many}."""
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return {name: sum(trial.state == state for trial in trials) for state, name in names.items()}


def progress(parent: tracking.Run, trials: list[FrozenTrial]) -> None:
    """The best value after each finished trial, in the order in which they ended, as a curve of the parent run."""
    ended = [(trial.datetime_complete, trial) for trial in latest(trials) if trial.datetime_complete is not None]
    best = float("-inf")
    for number, (_, trial) in enumerate(sorted(ended, key=lambda pair: pair[0]), start=1):
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            best = max(best, trial.value)
        if best > float("-inf"):
            parent.metrics({BEST: best}, number)


def publish(parent: tracking.Run, desk: Desk, folder: Path) -> None:
    """Everything about a finished study onto its parent run, and into a folder."""
    study, trials = desk.study, desk.last()
    progress(parent, desk.trials())
    number = counts(trials)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(trials, folder / "trials.csv")
    drawn = plots(study, folder) if number["complete"] else []
    parent.metrics({f"trials/{name}": count for name, count in number.items()}, len(trials))
    parent.tags({"trials": len(trials), **{f"trials.{name}": count for name, count in number.items()}})
    if number["complete"]:
        parent.tags({f"best.{name}": value for name, value in study.best_params.items()})
        parent.tags({"best.run": study.best_trial.user_attrs.get("run", "")})
    parent.note(table(trials, desk.order))
    for file in [folder / "trials.csv", *drawn]:
        parent.artifact(file, "study")


def rows(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    """A row a trial: number, state, value, its parameters, how many epochs it reported, seconds, run, reason."""
    found = []
    for trial in trials:
        took = (trial.datetime_complete - trial.datetime_start).total_seconds() if over(trial) else ""
        about = {"trial": trial.number, "state": trial.state.name.lower(), "value": trial.value}
        after = {"reports": len(trial.intermediate_values), "seconds": took, "run": trial.user_attrs.get("run", "")}
        why = reason(trial) if trial.state == TrialState.FAIL else ""
        found.append(about | trial.params | after | {"reason": why})
    return found


def over(trial: FrozenTrial) -> bool:
    """Whether it is known when it began and when it ended."""
    return trial.datetime_complete is not None and trial.datetime_start is not None


def write_rows(trials: list[FrozenTrial], file: Path) -> None:
    """The numbers behind the plots."""
    names = dict.fromkeys(name for row in rows(trials) for name in row)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(names))
        writer.writeheader()
        writer.writerows(rows(trials))


def table(trials: list[FrozenTrial], order: Order) -> str:
    """The run's description: how many trials of which kind, and the best of them."""
    number = counts(trials)
    ranked = sorted(trials, key=lambda t: (t.state != TrialState.COMPLETE, -(t.value if t.value is not None else -2)))
    params = list(dict.fromkeys(name for trial in trials for name in trial.params))
    head = ["trial", "state", "validation SRCC", *params, "epochs"]
    lines = [
        f"**{order.study}**: {number['complete']} trials complete, {number['pruned']} pruned, "
        f"{number['failed']} failed; sampler {order.sampler}, pruner {order.pruner}; "
        f"a trial's value is the mean of {len(order.members)} run(s).",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for row in rows(ranked[:LISTED]):
        cells = [row["trial"], row["state"], row["value"], *(row.get(name, "") for name in params), row["reports"]]
        lines.append("| " + " | ".join(f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells) + " |")
    if len(ranked) > LISTED:
        lines.append(f"\nThe other {len(ranked) - LISTED} are in study/trials.csv.")
    return "\n".join(lines)


def plots(study: optuna.Study, folder: Path) -> list[Path]:
    """History, curves, slices, parallel coordinates and, where enough trials are complete, importance, as PNG files."""
    import matplotlib

    matplotlib.use("agg")
    from optuna.visualization import matplotlib as draw

    drawings: dict[str, Callable[[optuna.Study], Any]] = {
        "history": history,
        "curves": draw.plot_intermediate_values,
        "slice": slices,
        "parallel_coordinate": partial(draw.plot_parallel_coordinate, target_name=VALUE),
        "importance": partial(draw.plot_param_importances, target_name=VALUE),
    }
    values = {trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(values) < ENOUGH:  # nothing explains a constant
        del drawings["importance"]
    return [saved(drawing, study, folder / f"{name}.png") for name, drawing in drawings.items()]


def history(study: optuna.Study) -> Any:
    """Optuna's plot of values and the best so far, and in it the pruned trials at the last value they reported."""
    from matplotlib.ticker import MaxNLocator
    from optuna.visualization import matplotlib as draw

    axes = draw.plot_optimization_history(study, target_name=VALUE)
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    last = {t.number: t.intermediate_values[max(t.intermediate_values)] for t in pruned if t.intermediate_values}
    if last:
        axes.scatter(list(last), list(last.values()), marker="x", color="grey", label="pruned, last value")
        axes.legend()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def slices(study: optuna.Study) -> Any:
    """Optuna's plot of the value over each parameter, its ticks upright, since categories have long names."""
    from matplotlib.ticker import NullFormatter
    from optuna.visualization import matplotlib as draw

    axes = draw.plot_slice(study, target_name=VALUE)
    for one in np.atleast_1d(axes):
        one.tick_params(axis="x", labelrotation=90)
        one.xaxis.set_minor_formatter(NullFormatter())  # on a logarithmic axis they stand on each other
    return axes


def saved(drawing: Callable[[optuna.Study], Any], study: optuna.Study, file: Path) -> Path:
    """One of Optuna's plots as a file."""
    import matplotlib.pyplot as plt

    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("ignore")  # experimental functions; ticks and layouts of plots with one point
        axes = drawing(study)
        figure = np.atleast_1d(axes)[0].figure
        figure.set_size_inches(max(SIZE[0], WIDTH * len(np.atleast_1d(axes))), SIZE[1])
        figure.savefig(file, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return file
