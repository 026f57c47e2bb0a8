"""Before anything runs: which cells there are, what is done, what the rest costs, and what the seeds can decide."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from iqa import datasets, stages, statistics, tracking
from iqa.config import STAGES, flatten
from iqa.experiment import cells, running
from iqa.experiment.matrix import Place, Plan, asked
from iqa.experiment.running import Choice, Outcome

SAME = ("data.name", "model.encoder", "degrade.crop", "degrade.levels", "crops.size", "targets.names")  # set the pace


@dataclass(frozen=True)
class Estimate:
    """What the missing cells of one stage cost; None where no finished run tells."""

    stage: str
    missing: int
    hours: float | None
    megabytes: float | None
    from_runs: int


def lines(plan: Plan, choice: Choice) -> Iterator[str]:
    """The plan in sentences: cells by stage, what is missing and why, cost, disk, power."""
    places, outcome = survey(plan, choice)
    done = {title for title, key in outcome.placed.items() if key in outcome.done}
    yield f"{plan.experiment.name}: {plan.experiment.title} (preset {plan.preset})"
    for stage in STAGES:
        of_stage = [place for place in places if place.stage == stage]
        ready = sum(place.title in done for place in of_stage)
        yield f"  {stage:9} {len(of_stage):4} places, {ready} done"
    shared = len(outcome.placed) - len(set(outcome.placed.values()))
    if shared:
        yield f"  {shared} of the places share a cell with another and cost nothing more"
    yield from (f"  {sentence}" for sentence in _changed(outcome))
    estimates = [_estimate(plan, outcome.runs, stage, _missing(places, outcome, stage)) for stage in STAGES]
    yield from (_priced(one) for one in estimates if one.missing)
    known = [one.hours for one in estimates if one.hours is not None]
    if not any(one.missing for one in estimates):
        yield "nothing is left to compute"
    elif known:
        rest = sum(one.missing for one in estimates if one.hours is None)
        yield f"together about {sum(known):.2f} h" + (f", and {rest} cells of unknown cost" if rest else "")
    yield from decidable(plan)


def commands(plan: Plan, choice: Choice, said: Sequence[str]) -> Iterator[str]:
    """One line for each missing cell, in an order in which they can run; safe to repeat and to run at once.

    A line whose input is not there yet ends with exit code 75 ("try again"), which a scheduler requeues.
    """
    places, outcome = survey(plan, choice)
    done, seen = {title for title, key in outcome.placed.items() if key in outcome.done}, set[str]()
    for title in [place.title for place in places]:
        key = outcome.placed.get(title, title)
        if title not in done and key not in seen:
            seen.add(key)
            yield shlex.join(["iqa", "main", *said, f"--only={title}"])


def survey(plan: Plan, choice: Choice) -> tuple[list[Place], Outcome]:
    """The places that are asked for, and which cells are finished; nothing is computed."""
    return asked(plan, choice.only), running.found(plan, lambda _: None, choice)


def _missing(places: Sequence[Place], outcome: Outcome, stage: str) -> int:
    """Cells of a stage to compute, a shared one once; one that cannot be keyed yet counts by its place."""
    keys = {outcome.placed.get(place.title, place.title) for place in places if place.stage == stage}
    return len(keys - set(outcome.done))


def _changed(outcome: Outcome) -> Iterator[str]:
    """For cells that are missing although the same inputs were computed: that only the code differs."""
    missing = [cell for cell in outcome.cells if cell.key not in outcome.done]
    stages = Counter(cell.stage for cell in missing if outcome.runs.finished("cell.inputs", cell.tags["cell.inputs"]))
    for stage, count in stages.items():
        yield f"{count} {stage} cells were finished by other code; --accept-code reuses them"


def _estimate(plan: Plan, runs: tracking.Snapshot, stage: str, missing: int) -> Estimate:
    """From finished runs whose pace is the same: their hours, scaled by the epochs that are asked for."""
    if not missing:
        return Estimate(stage, 0, 0.0, 0.0, 0)
    wanted = {name: str(value) for name, value in flatten(_example(plan, stage)).items()}
    rows = runs.finished("stage", stage)
    alike = [row for row in rows if all(row.params.get(name) == wanted.get(name) for name in SAME)]
    timed = [row for row in alike if row.metrics.get("cost/hours")]
    if not timed:
        return Estimate(stage, missing, None, None, 0)
    hours = [row.metrics["cost/hours"] * _longer(row.params, wanted) for row in timed]
    sizes = [size for row in timed[:3] if (size := _size(runs, row.run_id)) is not None]
    megabytes = missing * sum(sizes) / len(sizes) if sizes else None
    return Estimate(stage, missing, missing * sum(hours) / len(hours), megabytes, len(timed))


def _example(plan: Plan, stage: str) -> Any:
    experiment = plan.experiment
    seed, fold = experiment.seeds[0], experiment.parts[0]
    if stage == "evaluate":
        return plan.evaluation("")
    arms = [name for name, arm in experiment.arms.items() if stage == "finetune" or arm.pretrain is not None]
    return plan.finetuning(arms[0], seed, fold=fold) if stage == "finetune" else plan.pretraining(arms[0], seed, fold)


def _longer(params: dict[str, str], wanted: dict[str, str]) -> float:
    """How many times the epochs of a run are asked for; evaluation has none."""
    epochs = float(params.get("optim.epochs") or 0)
    return float(wanted["optim.epochs"]) / epochs if epochs and "optim.epochs" in wanted else 1.0


def _size(runs: tracking.Snapshot, run_id: str) -> float | None:
    """Megabytes of a run's artifacts, where the store keeps them on this machine's disk."""
    try:
        folder = runs.fetch(run_id, "config.json").parent
    except (ValueError, OSError):
        return None
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def _priced(one: Estimate) -> str:
    if one.hours is None:
        return f"  {one.missing} {one.stage} cells to compute; no finished run like them tells the cost: run one first"
    disk = f", {one.megabytes:.0f} MB" if one.megabytes is not None else ""
    return f"  {one.missing} {one.stage} cells to compute: about {one.hours:.2f} h{disk} (from {one.from_runs} runs)"


def decidable(plan: Plan) -> Iterator[str]:
    """The smallest difference that these seeds and sets find with a power of 80%, at Holm's first step."""
    experiment = plan.experiment
    pairs, claims = len(experiment.seeds), max(1, len(experiment.claims))
    if pairs < statistics.FEWEST_PAIRS:
        yield f"{pairs} seed pairs decide nothing: every mark is '?' below {statistics.FEWEST_PAIRS}"
        return
    tuning = plan.finetuning(next(iter(experiment.arms)), experiment.seeds[0], fold=experiment.parts[0])
    sets = {f"test part of {tuning.data.name}": [_units(plan, fold) for fold in experiment.parts]}
    sets |= {"mean over targets": [_counted(one) for one in stages.targets(plan.evaluation(""))]}
    for what, units in sets.items():
        if experiment.rounds and len(units) > 1:
            yield f"{what}: {len(units)} re-splits share their images, and what they can find is not told"
            continue
        if min(units) < 2:
            yield f"{what}: one unit says nothing about other images"
            continue
        planned = statistics.planned([statistics.ASSUMED] * len(units), units, pairs)
        least = statistics.minimum_detectable(planned, statistics.ALPHA / claims)
        yield (
            f"{what}: {'+'.join(map(str, units))} units and {pairs} seed pairs find a true ΔSRCC of {least:.4f} or "
            f"more (power 80%, first of {claims} claims; the spreads are assumed, not measured)"
        )


def _units(plan: Plan, fold: str) -> int:
    told = plan.finetuning(next(iter(plan.experiment.arms)), plan.experiment.seeds[0], fold=fold).data
    return _counted(cells.data(**told.model_dump()).part("test"))


def _counted(manifest: datasets.Manifest) -> int:
    return len(set(manifest.table["group"]))
