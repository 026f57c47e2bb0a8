"""Before anything runs: which cells there are, what is done, what the rest costs, and what the seeds can decide."""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from iqa import datasets, stages, statistics, tracking
from iqa.config import STAGES, flatten
from iqa.experiment import cells, running
from iqa.experiment.matrix import Place, Plan, asked
from iqa.experiment.running import Choice, Outcome

SAME = ("data.name", "model.encoder", "degrade.crop", "degrade.levels", "crops.size", "targets.names")  # set the pace


@dataclass(frozen=True)
class Estimate:
    """What the missing cells of one stage cost, but for those of which no finished run tells; megabytes: None if so."""

    stage: str
    missing: int
    unknown: int
    hours: float
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
    yield from (f"  {sentence}" for sentence in changed(outcome, choice))
    estimates = [_estimate(plan, outcome.runs, stage, _missing(places, outcome, stage)) for stage in STAGES]
    yield from (_priced(one) for one in estimates if one.missing)
    rest = sum(one.unknown for one in estimates)
    if not any(one.missing for one in estimates):
        yield "nothing is left to compute"
    elif any(one.from_runs for one in estimates):
        hours = sum(one.hours for one in estimates)
        yield f"together about {hours:.2f} h" + (f", and {rest} cells of unknown cost" if rest else "")
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


def _missing(places: Sequence[Place], outcome: Outcome, stage: str) -> Counter[str]:
    """Arm → cells of a stage to compute, a shared one once; one that cannot be keyed yet counts by its place."""
    arms = {outcome.placed.get(one.title, one.title): one.arm for one in reversed(places) if one.stage == stage}
    return Counter(arm for key, arm in arms.items() if key not in outcome.done)


def changed(outcome: Outcome, choice: Choice) -> Iterator[str]:
    """For cells that are missing although the same inputs were computed: that only the code differs.

    One that is forced is missing whatever was computed, and accept_code would not bring it back.
    """
    missing = [cell for cell in outcome.cells if cell.key not in outcome.done and not choice.again(cell)]
    there = ((cell.stage, cells.finished(cell, True, outcome.runs)) for cell in missing)
    for stage, count in Counter(stage for stage, found in there if found is not None).items():
        yield f"{count} {stage} cells were finished by other code; --accept-code reuses them"


def _estimate(plan: Plan, runs: tracking.Snapshot, stage: str, missing: Counter[str]) -> Estimate:
    """From finished runs whose pace is the same: their hours, scaled by the epochs that are asked for."""
    rows = [row for row in runs.finished("stage", stage) if row.metrics.get("cost/hours")] if missing else []
    told = {arm: _hours(plan, rows, stage, arm) for arm in missing}
    unknown = sum(missing[arm] for arm, hours in told.items() if not hours)
    known = missing.total() - unknown
    hours = sum(missing[arm] * fmean(hours.values()) for arm, hours in told.items() if hours)
    by = list(dict.fromkeys(run for hours in told.values() for run in hours))
    sizes = [size for run in by[:3] if (size := _size(runs, run)) is not None]
    return Estimate(stage, missing.total(), unknown, hours, known * fmean(sizes) if sizes else None, len(by))


def _hours(plan: Plan, rows: Sequence[tracking.RunRow], stage: str, arm: str) -> dict[str, float]:
    """Run → the hours that a cell of this arm would have taken at its pace; of runs whose pace is the same."""
    config = _example(plan, stage, arm)
    wanted = {name: str(value) for name, value in flatten(config).items()}
    images = len(cells.data(**config.data.model_dump()).part("train")) if stage == "finetune" else 1
    alike = [row for row in rows if all(row.params.get(name) == wanted.get(name) for name in SAME)]
    length = _length(wanted, images)
    return {row.run_id: row.metrics["cost/hours"] * length / _length(row.params, images) for row in alike}


def _example(plan: Plan, stage: str, arm: str) -> Any:
    seed, fold = plan.experiment.seeds[0], plan.experiment.parts[0]
    if stage == "evaluate":
        return plan.evaluation("")
    if stage == "pretrain":
        return plan.pretraining(arm, seed, fold)
    pretrained = plan.experiment.arms[arm].pretrain is not None
    return plan.finetuning(arm, seed, "runs:/of-the-pretraining/encoder" if pretrained else "", fold)


def _length(params: Mapping[str, str], images: int) -> float:
    """How long a run trains, in crops of `images` an epoch; evaluation has no epochs, and is as long as any other."""
    epochs, each = (float(params.get(name) or 1) for name in ("optim.epochs", "crops.per_image"))
    return epochs * images * each + float(params.get("optim.extra_passes") or 0)


def _size(runs: tracking.Snapshot, run_id: str) -> float | None:
    """Megabytes of a run's artifacts, where the store keeps them on this machine's disk."""
    try:
        folder = runs.fetch(run_id, "config.json").parent
    except (ValueError, OSError):
        return None
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def _priced(one: Estimate) -> str:
    head = f"  {one.missing} {one.stage} cells to compute"
    if one.unknown == one.missing:
        return f"{head}; no finished run like them tells the cost: run one first"
    disk = f", {one.megabytes:.0f} MB" if one.megabytes is not None else ""
    rest = f"; of {one.unknown} no finished run like them tells the cost" if one.unknown else ""
    return f"{head}: about {one.hours:.2f} h{disk} (from {one.from_runs} runs){rest}"


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
