"""What a command left: its runs in the store, its files on the disk; and how two of them differ."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from iqa import checkpoint, tracking
from iqa.disk import file_digest
from iqa.tracking import store

Trace = dict[str, Any]
COSTS = ("cost/", "system/")
BY_OPENING = "experiment"  # a stage whose metrics have the number of the opening as their step
UNNAMED = ("provenance/", "config.json")  # artifacts that say where and when
MLFLOWS = ".artifact.uploading."  # how its temporary files in a local artifact store begin
IDS = re.compile(r"(?<=runs:/)[0-9a-f]{32}|\bm-[0-9a-f]{32}")  # MLflow's of runs and models: each command has its own
ABOUT_ATTEMPTS = re.compile(r"mlflow\.|machine\.|git\.|iqa\.(heartbeat|command|journal)$")  # tags: when, where, by what
SHOWN = 4  # differences in a sentence


def trace(folder: Path) -> Trace:
    """Everything that an undisturbed and a disturbed command have in common; asked of the store and of the disk."""
    rows = tracking.rows()
    return {
        "runs": sorted(json.dumps([row.tags["stage"], row.name, row.status]) for row in rows),
        "params": {row.name: params(row, folder) for row in rows},
        "tags": {row.name: tags(row, folder) for row in rows},
        "inputs": {row.name: inputs(row) for row in rows},
        "models": {row.name: models(row) for row in rows},
        "history": {row.name: history(row) for row in rows},
        "doubled": {row.name: doubled(row) for row in rows},
        "artifacts": {row.name: artifacts(row) for row in rows},
        "weights": weights(folder / "runs"),
        "leftovers": leftovers(folder / "runs"),
    }


def params(row: tracking.RunRow, folder: Path) -> list[str]:
    """Every parameter of ours, and its value."""
    return sorted(f"{name} {plain(value, folder)}" for name, value in row.params.items())


def tags(row: tracking.RunRow, folder: Path) -> list[str]:
    """Every tag that an attempt does not have for itself; a reason or a signal that a finished run still has, too."""
    kept = {name: value for name, value in row.tags.items() if not ABOUT_ATTEMPTS.match(name)}
    return sorted(f"{name} {plain(value, folder)}" for name, value in kept.items())


def plain(value: str, folder: Path) -> str:
    """A value without what differs from one attempt to another: ids, and where they work."""
    return IDS.sub("ID", value.replace(str(folder), "HERE"))


def inputs(row: tracking.RunRow) -> list[str]:
    """Every data set that a run was given, with its digest and tags."""
    found = store.client().get_run(row.run_id).inputs.dataset_inputs
    told = [sorted((tag.key, tag.value) for tag in one.tags) for one in found]
    return sorted(f"{one.dataset.name} {one.dataset.digest} {tag}" for one, tag in zip(found, told, strict=True))


def models(row: tracking.RunRow) -> list[str]:
    """Every model that a run left, by name, whether it is READY, and whether the run names it as its output."""
    run = store.client().get_run(row.run_id)
    outputs = {one.model_id for one in (run.outputs.model_outputs if run.outputs else ())}
    found = store.client().search_logged_models([row.experiment_id], filter_string=f"source_run_id = '{row.run_id}'")
    return sorted(f"{one.name} {one.status} {'output' if one.model_id in outputs else 'no output'}" for one in found)


def history(row: tracking.RunRow) -> list[str]:
    """Every (key, step, value) without costs; of a stage that counts its openings the last one's, without the step."""
    keys = [key for key in row.metrics if not key.startswith(COSTS)]
    found = [(one.key, one.step, one.value) for key in keys for one in points(row.run_id, key)]
    if row.tags["stage"] != BY_OPENING:
        return sorted(f"{key} {step} {value!r}" for key, step, value in found)
    last = max((step for _, step, _ in found), default=0)
    return sorted(f"{key} last {value!r}" for key, step, value in found if step == last)


def doubled(row: tracking.RunRow) -> list[str]:
    """Each (key, step) that has more than one row, costs included."""
    counts = Counter(f"{key} {one.step}" for key in row.metrics for one in points(row.run_id, key))
    return sorted(point for point, count in counts.items() if count > 1)


def points(run_id: str, key: str) -> list[Any]:
    return list(store.client().get_metric_history(run_id, key))


def artifacts(row: tracking.RunRow) -> dict[str, str]:
    """Each file that the store has of a run; the SHA-256 of weights and predictions, whose bytes repeat."""
    if not store.client().list_artifacts(row.run_id):
        return {}
    top = Path(tracking.fetch(row.run_id, ""))
    names = {str(file.relative_to(top)): file for file in sorted(top.rglob("*")) if file.is_file()}
    kept = {name: file for name, file in names.items() if not name.startswith(UNNAMED) and MLFLOWS not in name}
    repeats = (".safetensors", ".csv") if row.tags["stage"] != BY_OPENING else ()  # a report tells run ids and times
    return {name: file_digest(file) if file.suffix in repeats else "" for name, file in kept.items()}


def weights(runs: Path) -> list[str]:
    """The tensors of each final artifact, and all of each run's newest checkpoint."""
    found = []
    for folder in runs.glob("*/[0-9]*"):
        stage = folder.parent.name.partition("-")[0]
        made = [folder / artifact for artifact in ("encoder", "model") if (folder / artifact).is_dir()]
        found += [f"{stage} {one.name} {file_digest(one / checkpoint.TENSORS)}" for one in made]
        newest = max((folder / "checkpoints").glob("step-*"), default=None)
        found += [f"{stage} {newest.name} {checkpoint.digest(newest)}"] if newest is not None else []
    return sorted(found)


def leftovers(runs: Path) -> list[str]:
    """Temporary files and folders that nobody will clear away."""
    found = (path for path in runs.rglob("*") if path.name.startswith(checkpoint.LEFTOVER) or path.suffix == ".partial")
    return sorted(path.name for path in found)


def differences(oracle: Trace, found: Trace) -> str:
    """In what a disturbed command's trace differs from the undisturbed one's; "" if in nothing.

    What is there twice counts twice: a second run that ended as the first one did is a difference.
    """
    lines = []
    for part, expected in oracle.items():
        one, other = (Counter(map(str, _flat(value))) for value in (expected, found[part]))
        lines += [f"{part} lacks {line}" for line in sorted((one - other).elements())]
        lines += [f"{part} has {line}" for line in sorted((other - one).elements())]
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [f"{key}: {inner}" for key, some in value.items() for inner in _flat(some)]
    return value if isinstance(value, list) else [value]
