"""A cell: one stage with one config, keyed by everything that can change its result, run once."""

import hashlib
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from iqa import checkpoint, datasets, distributed, encoders, machine, report, tracking
from iqa.config import AUTO, NO_PART_OF_THE_RESULT, STAGES, fingerprint, flatten, load
from iqa.disk import file_digest
from iqa.experiment import code
from iqa.experiment.matrix import ONE_STAGE
from iqa.stages import stage as stage_of
from iqa.stages.training import tell


@dataclass(frozen=True)
class Cell:
    """A stage, its config, and the key under which its result is found again."""

    stage: str
    config: Any
    key: str
    tags: dict[str, str]

    @property
    def title(self) -> str:
        """As the run is called: stage, arm, seed and fold where there are any."""
        return report.titled(self.stage, *(self.tags.get(name, "") for name in ("arm", "seed", "fold")))


Resolve = Callable[[str], Path]  # runs:/ID/path, a file or a folder → where it lies on this machine
Show = Callable[[Cell, str, int, dict[str, float]], None]  # what the console does with a run's page and record


@dataclass(frozen=True)
class Result:
    """A finished cell: its run, whether it was there already, and whether other code had made it."""

    run_id: str
    reused: bool
    other_code: bool = False


def cell(stage: str, config: BaseModel, tags: dict[str, str], resolve: Resolve = tracking.resolve) -> Cell:
    """The cell of a config. Reads (or hashes) the data and the input checkpoint, so that bad input ends here."""
    if config.compute.devices != distributed.world():  # type: ignore[attr-defined]
        raise ValueError(ONE_STAGE)
    parts = [stage, fingerprint(config, identities(stage, config, resolve)), code.digest(stage)]
    key, inputs = (hashlib.sha256("\n".join(some).encode()).hexdigest() for some in (parts, parts[:2]))
    seed = {"seed": str(config.seed)} if hasattr(config, "seed") else {}
    return Cell(stage, config, key, {"stage": stage, "cell": key, "cell.inputs": inputs} | seed | tags)


def identities(stage: str, config: Any, resolve: Resolve = tracking.resolve) -> dict[str, str]:
    """Digests of what the config points to: data sets and input weights."""
    if stage == "evaluate":
        told = config.targets.model_dump(exclude={"names"})
        sets = [data(name=name, **told).digest for name in config.targets.names]
        return {"targets.names": ",".join(sets), "weights": weights_identity(config.weights, resolve)}
    digest = data(**config.data.model_dump()).digest
    found = {"data.name": digest, "model.weights": weights_identity(config.model.weights, resolve)}
    if stage == "pretrain" and config.loss.type == "full" and config.loss.prototypes == "text":
        found["loss.text_weights"] = encoders.text.identity(config.loss.text_model, config.loss.text_weights)
        found["loss.text_model"] = Path(config.loss.text_model).name  # where a folder lies is no part of it
    return found


@cache
def data(**told: Any) -> datasets.Manifest:
    """A data set, read once for all cells of a command (which forgets the ones before it)."""
    manifest = datasets.load(**told)
    for note in manifest.notes:
        tell(note)
    return manifest


def weights_identity(weights: str, resolve: Resolve = tracking.resolve) -> str:
    """A name (bundled, timm, random) stands for itself; a file or an artifact for its content."""
    if weights in ("bundled", "timm", "random"):
        return weights
    if not weights:
        raise ValueError("No weights are named: give bundled, timm, random, a file, a folder or runs:/ID/encoder.")
    path = resolve(weights)
    if path.is_dir():
        return checkpoint.digest(path)
    if not path.is_file():
        raise ValueError(f"There are no weights at {weights}: give bundled, timm, random, a file or runs:/ID/encoder.")
    return file_digest(path)


def finished(cell: Cell, accept_code: bool = False, runs: tracking.Snapshot | None = None) -> Result | None:
    """The newest finished run of a cell, among `runs` if they are given; accept_code: else one of other code alone."""
    for tag in ("cell", "cell.inputs") if accept_code else ("cell",):
        value = cell.tags[tag]
        rows = tracking.rows(status="FINISHED", tags={tag: value}) if runs is None else runs.finished(tag, value)
        steps = [row for row in rows if row.tags["stage"] in STAGES]  # a pruned trial is finished, its work is not
        if steps:
            return Result(steps[0].run_id, reused=True, other_code=tag != "cell")
    return None


def compute(cell: Cell, *, parent: str | None = None, show: Show | None = None, command: str = "") -> Result:
    """Run a cell to its end, going on where an interrupted or failed attempt stopped.

    Where several processes compute it, all of them call this; the first one alone has a run that writes.
    """
    done = distributed.from_first(lambda: unsent(cell))
    if done is not None:
        return done
    with opened(cell, parent=parent, command=command) if distributed.leads() else tracking.Silent() as run:
        for number, record in enumerate(records(cell, run), start=1):
            if show is not None:
                show(cell, run.page, int(record.get("epoch", number)), record)  # a resumed one does not begin at 1
        return Result(run.run_id, reused=False)


def unsent(cell: Cell) -> Result | None:
    """The newest attempt, if its work is done and the store lacked some of it: sent now, and not computed again."""
    tried = attempts(cell)
    if tracking.offline() or not tried or not tracking.is_finished(tried[0]) or not tracking.sync(tried[0]):
        return None
    return Result(tracking.Journal(tried[0]).run_id, reused=True)


def opened(cell: Cell, *, parent: str | None = None, command: str = "", fresh: bool = False) -> tracking.Run:
    """The run of a cell, to be used as a context; fresh: a new attempt, whatever an unfinished one has left."""
    tags = cell.tags | {"iqa.command": command or repeat(cell)}
    tags |= {f"machine.{name}": str(value) for name, value in machine.describe().items()}
    params = flatten(cell.config)
    folder = folder_of(cell, fresh)
    return tracking.open_run(cell.stage, folder, name=cell.title, params=params, tags=tags, parent=parent)


def records(cell: Cell, run: tracking.Run | tracking.Silent) -> Iterator[dict[str, float]]:
    """The records of a cell's stage in its open run; closing this closes the stage."""
    if distributed.leads():
        write_config(run, cell)
    with machine.enough_memory(smaller(cell.config)), closing(stage_of(cell.stage)(cell.config, run)) as stage:
        yield from stage


def smaller(config: Any) -> str:
    """What needs less memory for the same result, or nearly so."""
    if not hasattr(config, "optim"):
        return f"compute.device is {config.compute.device}, crops.size {config.crops.size}: free memory, or device=cpu."
    batch, micro = config.optim.batch_size, config.compute.micro_batch
    if micro == AUTO:
        return "compute.micro_batch is auto: give compute.recompute=true, or compute.precision=bfloat16."
    half = max(1, (micro or batch) // 2)
    at_once = f"{micro} at once" if micro else "all at once"
    return (
        f"batch_size is {batch}, {at_once}: give compute.micro_batch={half} (the same result but for rounding), or "
        "compute.recompute=true, or compute.precision=bfloat16."
    )


def folder_of(cell: Cell, fresh: bool = False) -> Path:
    """The folder of the unfinished attempt at this cell, else (or if fresh) of a new one: runs/STAGE-KEY/N."""
    tried = attempts(cell)
    if tried and not fresh and not tracking.is_finished(tried[0]):
        return tried[0]
    return attempts_folder(cell) / str(int(tried[0].name) + 1 if tried else 1)


def attempts_folder(cell: Cell) -> Path:
    return tracking.runs_folder() / f"{cell.stage}-{cell.key[:12]}"


def attempts(cell: Cell) -> list[Path]:
    """The folders of all attempts at this cell, the newest first."""
    found = (path for path in attempts_folder(cell).glob("[0-9]*") if path.name.isdigit())
    return sorted(found, key=lambda path: int(path.name), reverse=True)


def silence(cell: Cell) -> float:
    """Seconds since the newest attempt at a cell last showed life."""
    return tracking.silence(attempts(cell)[0])


def write_config(run: Any, cell: Cell) -> None:
    """The resolved config as an artifact. Raises ValueError where the folder's run was begun with another."""
    file = run.folder / "config.json"
    if run.resumed:
        refuse_other(file, cell)
    file.write_text(json.dumps(cell.config.model_dump(), indent=2) + "\n", encoding="utf-8")
    run.artifact(file)


def refuse_other(file: Path, cell: Cell) -> None:
    """Raise ValueError listing every field of a run's config that is not this cell's."""
    try:
        kept = flatten(STAGES[cell.stage].model_validate_json(file.read_bytes()))
    except (FileNotFoundError, ValidationError):  # killed before it was written, or while
        return
    now = flatten(cell.config)
    fields = [name for name in now if name not in NO_PART_OF_THE_RESULT and now[name] != kept[name]]
    if fields:
        lines = "\n".join(f"  {name}: {kept[name]!r} there, {now[name]!r} now" for name in fields)
        raise ValueError(f"{file.parent} was begun with another config:\n{lines}\nMove it away, or give that config.")


def repeat(cell: Cell) -> str:
    """The command that repeats this step alone: what differs from the preset it came from."""
    preset = cell.tags.get("preset", "demo")
    config, default = flatten(cell.config), flatten(load(cell.stage, {}, preset))
    given = [f"--{name}={value}" for name, value in config.items() if value != default[name]]
    return shlex.join(["iqa", cell.stage, f"--preset={preset}", *given])
