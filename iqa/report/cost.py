"""What it cost: the runs' own measurements, and the sizes of what they left. Nothing here is typed by hand."""

import json

from iqa.report.document import Cell, Number, Paragraph, Section, Table, Text, Undefined, say
from iqa.report.evidence import FINISHED, PLAIN, Evidence, Row, Unit, by_seed, count, duration, mean

GPU_USE = "cost/gpu_utilisation"
COST: dict[str, tuple[str, int, Unit]] = {  # metric → heading, digits, unit
    "cost/hours": ("Time", 1, PLAIN),
    "cost/epoch_s": ("Per epoch", 1, (1.0, " s")),
    "cost/images_per_s": ("Images per s", 1, PLAIN),
    "cost/data_wait": ("Data wait", 1, (100.0, " %")),
    "cost/peak_memory_mb": ("Peak memory", 0, (1.0, " MB")),
    GPU_USE: ("GPU use", 0, (1.0, " %")),
}
STAGES = ("pretrain", "finetune", "evaluate")
TENSORS, MANIFEST = "tensors.safetensors", "manifest.json"  # of an artifact's folder


def cost(evidence: Evidence) -> Section:
    """Time, speed and memory of each stage; size of the models on disk."""
    parts = (
        Section("Training time breakdown", (time_table(evidence), *_without_gpu(evidence), *_total(evidence))),
        Section("Model size", (size_table(evidence),)),
    )
    return Section("Computational cost", (), parts)


def time_table(evidence: Evidence) -> Table:
    """A row for each stage of each arm, per run."""
    rows = []
    for stage in STAGES if evidence.targets else STAGES[:2]:
        for arm in evidence.pretrained if stage == "pretrain" else evidence.arms:
            cells = [_cost(evidence, stage, arm, key) for key in COST]
            name = f"{stage}, {evidence.title(arm)}"
            rows.append((say(name), *cells, _elapsed(evidence, stage, arm), count(evidence, stage, arm)))
    caption = say(
        "Per run, mean ± std over seeds. Time: as the stage measured it; elapsed: from the run's start to its end, "
        "pauses included. GPU use: mean of the machine's GPUs, whoever used them, since the run last began."
    )
    columns = ("Stage, model", *(title for title, *_ in COST.values()), "Elapsed", "Seeds")
    return Table("cost", caption, columns, tuple(rows), stack=True)


def size_table(evidence: Evidence) -> Table:
    """Parameters and bytes of each arm's first encoder and model, as their runs and manifests state them."""
    rows = []
    for stage, artifact in (("pretrain", "encoder"), ("finetune", "model")):
        for arm in evidence.pretrained if stage == "pretrain" else evidence.arms:
            found = evidence.runs(stage, arm)
            missing = tuple(evidence.missing(stage, arm)[:1])
            size: Cell = (_size(evidence, found[0], artifact),) if found else missing
            parameters = _parameters(found[0]) if found else say("–")
            rows.append((say(f"{artifact}, {evidence.title(arm)}"), parameters, size))
            rows += [_head(evidence, arm, found[0])] if found and artifact == "model" else []
    caption = say(
        "The encoder that pretraining hands on, and the whole model with its head; of the weights on disk, what the "
        "artifact's manifest states; the head lies in the model's file, 4 bytes a parameter."
    )
    return Table("size", caption, ("Artifact", "Parameters", "Size on disk"), tuple(rows))


def _head(evidence: Evidence, arm: str, row: Row) -> tuple[Cell, Cell, Cell]:
    """The model without its encoder; dashes where the run did not count its parameters."""
    name, key, run = say(f"head of it, {evidence.title(arm)}"), "parameters/head", (row.run_id,)
    count = row.metrics.get(key)
    if count is None:
        return name, say("–"), say("–")
    size = Number((4 * count,), "{0:.1f} MB", run, f"4 bytes × {key}", scale=1e-6)
    return name, (Number((count,), "{0:.2f} M", run, key, scale=1e-6),), (size,)


def _parameters(row: Row) -> Cell:
    """How many a run's artifact has; of a model also in which part. A dash where a run did not count them."""
    encoder, head = (row.metrics.get(f"parameters/{part}") for part in ("encoder", "head"))
    if encoder is None:
        return say("–")
    if head is None:
        return (Number((encoder,), "{0:.2f} M", (row.run_id,), "parameters/encoder", scale=1e-6),)
    counts, parts = (encoder, head, encoder + head), ("encoder", "head", "whole")
    template = "{2:.2f} M (encoder {0:.2f} M, head {1:.2f} M)"
    return (Number(counts, template, (row.run_id,), "parameters/encoder, parameters/head", parts, 1e-6),)


def _size(evidence: Evidence, row: Row, artifact: str) -> Number | Undefined:
    try:
        manifest = json.loads(evidence.fetch(row.run_id, f"{artifact}/{MANIFEST}").read_bytes())
        size = float(manifest["files"][TENSORS]["bytes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Undefined(f"{artifact}/{MANIFEST} cannot be read ({type(error).__name__})", (row.run_id,))
    return Number((size,), "{0:.1f} MB", (row.run_id,), f"bytes of {artifact}/{TENSORS}", scale=1e-6)


def _without_gpu(evidence: Evidence) -> tuple[Paragraph, ...]:
    """Why the column of GPU use is empty, where the runs' machines had none."""
    told = [row for row in evidence.ranked if row.status == FINISHED]
    if not told or any(str(row.tags.get("machine.gpus")) != "0" for row in told):
        return ()
    runs = Text("no GPU in these runs", tuple(row.run_id for row in told))
    return (Paragraph(say("GPU use is not measured: ", runs, "."), "note"),)


def _total(evidence: Evidence) -> tuple[Paragraph, ...]:
    rows = [row for row in evidence.ranked if row.status == FINISHED and row.start and row.end]
    if not rows:
        return ()
    total = duration([sum(_hours(row) for row in rows)], rows, "sum of the runs' elapsed hours")
    return (Paragraph(say(f"The {len(rows)} finished runs together, from start to end: ", total, ".")),)


def _cost(evidence: Evidence, stage: str, arm: str, key: str) -> Cell:
    """A cost where the stage measures it; an empty cell where it does not."""
    rows, (_, digits, unit) = evidence.runs(stage, arm), COST[key]
    whole = all if key == GPU_USE else any  # a run of seconds, or from before it was measured, has none
    if rows and not whole(key in row.metrics for row in rows):
        return say("–")
    return mean(evidence, stage, arm, key, digits, unit)


def _elapsed(evidence: Evidence, stage: str, arm: str) -> Cell:
    rows = [row for row in evidence.runs(stage, arm) if row.start and row.end]
    if not rows:
        return tuple(evidence.missing(stage, arm)[:1]) or say("–")
    hours = by_seed([_hours(row) for row in rows], rows)
    return (duration(hours, rows, f"hours from start to end of {stage}"),)


def _hours(row: Row) -> float:
    return ((row.end or 0) - (row.start or 0)) / 3_600_000
