"""What the runs left behind, asked by stage, arm, seed and key. Nothing here loads a model or invents a number."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from iqa.report import ordering
from iqa.report.document import Atom, Cell, Missing, Number, Text, Undefined
from iqa.report.predictions import Predictions, read_predictions
from iqa.tracking import metric_name

FINISHED = "FINISHED"


class ReportError(ValueError):
    """What keeps a report from being written, in one sentence with the remedy."""


class Row(Protocol):
    """A run as the store lists it (`iqa.tracking.RunRow`); start and end in ms since 1970."""

    @property
    def run_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def tags(self) -> Mapping[str, Any]: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...
    @property
    def start(self) -> int | None: ...
    @property
    def end(self) -> int | None: ...


History = Callable[[str, str], Sequence[tuple[int, float]]]
Unit = tuple[float, str]  # shown = value × scale, followed by the unit
PLAIN: Unit = (1.0, "")
Fetch = Callable[[str, str], Path]


@dataclass(frozen=True)
class Evidence:
    """Rows, histories and artifacts of one experiment, and the experiment's own declaration."""

    rows: Sequence[Row]
    history: History
    fetch: Fetch
    experiment: Mapping[str, Any]

    @property
    def arms(self) -> list[str]:
        return list(self.experiment["arms"])

    @property
    def seeds(self) -> list[int]:
        return [int(seed) for seed in self.experiment["seeds"]]

    @cached_property
    def own(self) -> str:
        """The experiment's data set, by the name under which its runs report it."""
        return self._reported(str(self.experiment["data"]), "finetune")

    @cached_property
    def targets(self) -> list[str]:
        """The other data sets; its own is tested by the fine-tuning runs."""
        names = [self._reported(str(name), "evaluate") for name in self.experiment.get("targets", ())]
        return [name for name in dict.fromkeys(names) if name != self.own]

    def _reported(self, declared: str, stage: str) -> str:
        """A set may be declared as a folder's path; its runs call it by the folder's name."""
        keys = {key for row in self.rows if row.tags.get("stage") == stage for key in row.metrics}
        return declared if tested(declared, "srcc") in keys else Path(declared).name or declared

    @property
    def folds(self) -> list[str]:
        """The folds of its own data by name; one without a name where it is not split into folds."""
        return [str(fold) for fold in self.experiment.get("folds", ())] or [""]

    @property
    def with_shown(self) -> list["Evidence"]:
        """This experiment, and those whose ablations its report shows."""
        return [self, *(replace(self, experiment=told) for told in self.experiment.get("shown", ()))]

    @property
    def resplit(self) -> tuple[int, int] | None:
        """Images of the training and of the test part where the folds are random re-splits, which share images."""
        told = self.experiment.get("resplit")
        return (int(told[0]), int(told[1])) if told else None

    def title(self, name: str) -> str:
        """Of an arm, or of a group of arms."""
        told = self.experiment["arms"].get(name) or self.experiment.get("groups", {}).get(name, {})
        return told.get("title") or name

    @cached_property
    def ranked(self) -> list[Row]:
        """The experiment's own by stage, arm, seed and fold, those of one place from the oldest to the newest."""
        return ordering.ranked((row for row in self.rows if row.tags.get("stage") != "study"), self.arms)

    @cached_property
    def _by_id(self) -> dict[str, Row]:
        return {row.run_id: row for row in self.rows}

    @cached_property
    def cells(self) -> dict[str, Row]:
        """Title of a place in the matrix → its run: as the experiment says, else the newest finished. Never best."""
        finished = [row for row in self.ranked if row.status == FINISHED]
        told = self.experiment.get("runs")
        if told is not None:
            by_id = {row.run_id: row for row in finished}
            return {title: by_id[run] for title, run in told.items() if run in by_id}
        kinds = ("stage", "arm", "seed", "fold")
        places = [tuple(str(row.tags.get(kind, "")) for kind in kinds) for row in finished]
        return {titled(*place): row for place, row in zip(places, finished, strict=True)}

    def run(self, stage: str, arm: str, seed: int, fold: str | None = None) -> Row | None:
        """A cell's run, in the first fold if none is named; pretraining is the one that fine-tuning started from."""
        place = self.folds[0] if fold is None else fold
        own = self.cells.get(titled(stage, arm, seed, place))
        if stage != "pretrain":
            return own
        tuned = self.cells.get(titled("finetune", arm, seed, place))
        scheme, _, weights = str(tuned.params.get("model.weights", "") if tuned else "").partition(":/")
        return self._by_id.get(weights.partition("/")[0], own) if scheme == "runs" else own

    def runs(self, stage: str, arm: str) -> list[Row]:
        """The finished runs of an arm, by seed and fold; targets are tested with the first fold's models."""
        return list(self.places(stage, arm).values())

    def places(self, stage: str, arm: str) -> dict[str, Row]:
        """The same by what tells them apart: "3", or "3, fold 1"."""
        folds = self.folds_of(stage)
        told = "{}, fold {}" if len(folds) > 1 else "{}"
        places = [(seed, fold) for seed in self.seeds for fold in folds]
        return {told.format(*place): row for place in places if (row := self.run(stage, arm, *place))}

    def folds_of(self, stage: str) -> list[str]:
        return self.folds[:1] if stage == "evaluate" else self.folds

    @cached_property
    def pretrained(self) -> list[str]:
        """The arms that are pretrained: declared so ("pretrain"), else with such a run or such a command."""
        return [arm for arm in self.arms if self._is_pretrained(arm)]

    def _is_pretrained(self, arm: str) -> bool:
        declared = self.experiment["arms"][arm]
        if "pretrain" in declared:
            return declared["pretrain"] not in (None, False)
        commands = self.experiment.get("commands", {})
        return any(self.run("pretrain", arm, s) or titled("pretrain", arm, s) in commands for s in self.seeds)

    def stage_of(self, dataset: str) -> str:
        """The stage that tests on `dataset`: fine-tuning on its own data, evaluation on all others."""
        return "finetune" if dataset == self.own else "evaluate"

    def command(self, stage: str, arm: str, seed: int, fold: str = "") -> str:
        """What fills this cell: its own command, or the experiment's, which reuses whatever is finished."""
        commands = self.experiment.get("commands", {})
        return commands.get(titled(stage, arm, seed, fold)) or self.whole

    @property
    def whole(self) -> str:
        """The command of the experiment, which reuses whatever is finished."""
        if self.experiment.get("command"):
            return self.experiment["command"]
        name, preset = self.experiment["name"], self.experiment.get("preset", "demo")
        return f"mlflow run . -P preset={preset}" + ("" if name == preset else f" -P experiment={name}")

    def missing(self, stage: str, arm: str) -> list[Missing]:
        """A command for each seed of `arm` that has no finished run of `stage`."""
        places = [(seed, fold) for seed in self.seeds for fold in self.folds_of(stage)]
        empty = [place for place in places if not self.run(stage, arm, *place)]
        return [Missing(self.command(stage, arm, *place)) for place in empty]

    def predictions(
        self, stage: str, arm: str, seed: int, dataset: str, fold: str | None = None, kind: str = "predictions/{}.csv"
    ) -> Predictions | Undefined:
        """A model's answers, or why they are not there (its run must have finished)."""
        row = self.run(stage, arm, seed, fold)
        assert row is not None, f"no finished run of {titled(stage, arm, seed)}"
        place = row.run_id, kind.format(dataset)
        if place not in self._answers:
            self._answers[place] = self._answer(*place)
        return self._answers[place]

    @cached_property
    def _answers(self) -> dict[tuple[str, str], Predictions | Undefined]:
        """Those that were read: tables, marks and figures ask for the same ones."""
        return {}

    def _answer(self, run_id: str, artifact: str) -> Predictions | Undefined:
        try:
            return read_predictions(self.fetch(run_id, artifact), run_id)
        except (OSError, ValueError, KeyError) as error:
            return Undefined(f"{artifact} of run {run_id} cannot be read ({error})", (run_id,))


def titled(stage: str, arm: str = "", seed: int | str = "", fold: str = "") -> str:
    """What a cell and its run are called, from as much as there is: a key of `experiment["commands"]` and ["runs"]."""
    named = [f"seed {seed}" if seed != "" else "", f"fold {fold}" if fold.isdigit() else fold]
    return " ".join(part for part in (arm, stage, *named) if part)


def tested(dataset: str, measure: str) -> str:
    """The metric's key, in the spelling that the store takes."""
    return metric_name(f"test/{dataset}/{measure}")


def one(evidence: Evidence, row: Row, key: str, template: str = "{0:.4f}") -> Atom:
    """One run's metric, or why it has no value."""
    value = row.metrics.get(key)
    if value is None or not math.isfinite(value):
        return Undefined(why_undefined(evidence, row, key), (row.run_id,))
    return Number((value,), template, (row.run_id,), key)


def mean(evidence: Evidence, stage: str, arm: str, key: str, digits: int = 4, unit: Unit = PLAIN) -> Cell:
    """Mean ± standard deviation of a metric over the arm's finished seeds, or the commands that would give it."""
    rows = evidence.runs(stage, arm)
    if not rows:
        return tuple(evidence.missing(stage, arm)[:1]) or (Text("no seeds are declared"),)
    atoms = [one(evidence, row, key) for row in rows]
    undefined = [atom for atom in atoms if isinstance(atom, Undefined)]
    if undefined:
        return (undefined[0],)
    values = by_seed([atom.values[0] for atom in atoms if isinstance(atom, Number)], rows)
    return (duration(values, rows, key) if key == "cost/hours" else spread(values, rows, key, digits, unit),)


def by_seed(values: Sequence[float], rows: Sequence[Row]) -> list[float]:
    """Of values of single runs the mean of each seed's folds, so that a spread is one over seeds."""
    found: dict[str, list[float]] = {}
    for at, (value, row) in enumerate(zip(values, rows, strict=True)):
        found.setdefault(str(row.tags.get("seed", f"run {at}")), []).append(value)
    return [float(np.mean(of_seed)) for of_seed in found.values()]


def spread(values: Sequence[float], rows: Sequence[Row], key: str, digits: int = 4, unit: Unit = PLAIN) -> Number:
    """Mean ± sample standard deviation; a single value stands alone, without a spread."""
    assert values, f"no run has a value of {key}"
    runs, (scale, suffix) = tuple(row.run_id for row in rows), unit
    if len(values) == 1:
        return Number((float(values[0]),), f"{{0:.{digits}f}}{suffix}", runs, key, scale=scale)
    pair = (float(np.mean(values)), float(np.std(values, ddof=1)))
    what = f"mean ± standard deviation of {key} over {len(values)} seeds"
    return Number(pair, f"{{0:.{digits}f}} ± {{1:.{digits}f}}{suffix}", runs, what, ("mean", "std"), scale)


def duration(hours: Sequence[float], rows: Sequence[Row], key: str) -> Number:
    """Mean ± spread of times in hours, shown in the unit that suits the mean."""
    average = float(np.mean(hours))
    unit = (1.0, " h") if average >= 1 else (60.0, " min") if average * 60 >= 1 else (3600.0, " s")
    return spread(hours, rows, key, 1, unit)


def count(evidence: Evidence, stage: str, arm: str) -> Cell:
    """How many seeds have finished, of how many, and the commands of the rest."""
    rows = evidence.runs(stage, arm)
    if not rows:
        return tuple(evidence.missing(stage, arm)[:1]) or (Text("no seeds are declared"),)
    wanted = len(evidence.seeds) * len(evidence.folds_of(stage))
    folds = f" × {len(evidence.folds)} folds" if len(evidence.folds_of(stage)) > 1 else ""
    whole = f"{len(evidence.seeds)}{folds}"
    found = Number(
        (float(len(rows)),),
        f"{{0:.0f}} of {wanted}" if len(rows) < wanted else "{0:.0f}" if not folds else f"{{0:.0f}} ({whole})",
        tuple(row.run_id for row in rows),
        f"finished {stage} runs",
    )
    return (found, *dict.fromkeys(evidence.missing(stage, arm)))


def why_undefined(evidence: Evidence, row: Row, key: str) -> str:
    """The sentence for a metric that is not a number, from the run's own predictions where they tell."""
    from iqa import metrics

    if key not in row.metrics:
        return f"the run logged no {key}"
    silent = f"the run logged {key} as not a number"
    dataset = next((name for name in (evidence.own, *evidence.targets) if key.startswith(tested(name, ""))), None)
    if dataset is None:
        return silent
    try:
        found = read_predictions(evidence.fetch(row.run_id, f"predictions/{dataset}.csv"), row.run_id)
    except ValueError as error:
        return f"{silent}: {error}"
    except (OSError, KeyError):
        return silent
    return metrics.undefined(found.values, found.scores) or silent
