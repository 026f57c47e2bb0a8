"""Is a store with many runs still quick? Report, plan and look-ups over 1,000 runs × 50 metrics × 50 steps.

    python -m benchmarks.big_store [--seeds 40] [--folder DIR]

Three cells are computed (smoke preset, built-in data); every other cell's run is one of those over again, in a SQLite
store, with params, metrics, weights and predictions of its own. A folder that is given is kept, and filled only once.
Rows are left under benchmarks/results/performance/ if all 1,000 runs were there.
"""

import argparse
import csv
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import yaml

from benchmarks import beyond
from benchmarks.performance.rows import Row, disturbance, printed, save
from iqa import checkpoint, config, experiment, metrics, tracking
from iqa.experiment import code, running
from iqa.experiment.cells import Cell, Result
from iqa.randomness import sub_seed
from iqa.tracking import store
from iqa.tracking.sending import Sender

RATES = ("3e-4", "1e-3", "3e-3", "1e-2", "3e-2")  # of the head, an arm with and one without pretraining at each
SEEDS, METRICS, STEPS = 40, 50, 50
RUNS = 25  # a seed
FILE = "big.yaml"
WORDS = (f"--experiment={FILE}", "--device=cpu", "--compute.threads=1")
ASKED = (  # what, by whom, within what
    ("the report of 1,000 runs", "entrypoints.report:main", "≤ 10 s"),
    ("their plan", "entrypoints.plan:main", "≤ 2 s"),
    ("the look-up of one cell among them", "benchmarks.big_store:look_up", "≤ 1 s"),
)
TEMPLATES = f"pretrained-{RATES[0]} * seed 0"
NOISE = 0.05  # standard deviation of the change to each prediction
AT_ONCE = 200_000  # rows of history that are written together
HOUR = 3_600_000  # ms: the runs' starts are a second apart, so that their order is known


def declared(seeds: int) -> dict[str, Any]:
    """The experiment: two groups of arms, a rate each."""
    arms: dict[str, Any] = {
        f"baseline-{rate}": {"title": f"ImageNet, {rate}", "finetune": {"head_lr": rate}} for rate in RATES
    }
    for at, rate in enumerate(RATES):
        own = {"head_lr": rate}
        arms[f"pretrained-{rate}"] = {
            "title": f"Quality, {rate}",
            "pretrain": {"optim.lr": 1e-4 * (at + 1)},
            "finetune": own,
        }
    groups = {
        kind: {"title": kind, "arms": [f"{kind}-{rate}" for rate in RATES]} for kind in ("baseline", "pretrained")
    }
    contrast = {"name": "tuned", "treatment": "pretrained", "baseline": "baseline"}
    return {
        **{"title": "Many runs", "preset": "smoke", "seeds": list(range(seeds)), "arms": arms, "groups": groups},
        **{"contrasts": [contrast], "demonstration": "Copies of three runs decide nothing."},
        "claims": [{"title": one, "contrast": "tuned", "measure": one} for one in ("cross", "own", "epochs", "probe")],
    }


@dataclass
class Copies:
    """Hands that compute nothing: a cell's run is its stage's template, changed."""

    templates: dict[str, Any]  # stage → run of the store
    outcome: running.Outcome
    history: list[tuple[Any, ...]] = field(default_factory=list)

    def free(self) -> bool:
        return True

    def works_at(self, cell: Cell) -> bool:
        return False

    def wait(self) -> None:
        pass

    def begin(self, cell: Cell) -> None:
        number = len(self.outcome.done)
        self.outcome.done[cell.key] = Result(self._copied(cell, self.templates[cell.stage], number), reused=False)
        if len(self.history) >= AT_ONCE:
            self.flush()

    def _copied(self, cell: Cell, template: Any, number: int) -> str:
        client, start = store.client(), template.info.start_time + HOUR + 1000 * number
        tags = template.data.tags | cell.tags | {store.MARK: f"{number:032x}", "mlflow.runName": cell.title}
        run = client.create_run(template.info.experiment_id, start_time=start, run_name=cell.title, tags=tags)
        values = template.data.metrics | _artifacts(number, _folder(template), _folder(run))
        values |= {f"train/more_{at}": at / METRICS for at in range(METRICS - len(values))}
        sender = Sender(run.info.run_id, run.info.experiment_id, Path(), {})
        params = {store.PREFIX + name: str(value) for name, value in config.flatten(cell.config).items()}
        sender.send([{"what": "params", "values": params}])
        sender.send([{"what": "metrics", "values": values, "time": start + STEPS, "step": STEPS}])
        sender.send([_input(one) for one in template.inputs.dataset_inputs])
        client.set_terminated(run.info.run_id, end_time=start + HOUR)
        self.history += [
            (name, value * (1 - 0.5**step), start + step, run.info.run_id, step, 0)
            for name, value in values.items()
            for step in range(1, STEPS)
        ]
        return str(run.info.run_id)

    def flush(self) -> None:
        """The history, straight into its table: through MLflow it would take many times as long."""
        with closing(sqlite3.connect(store.file_of(store.uri()))) as opened, opened:
            columns = '"key", value, timestamp, run_uuid, step, is_nan'
            opened.executemany(f"INSERT INTO metrics ({columns}) VALUES (?, ?, ?, ?, ?, ?)", self.history)
        self.history.clear()


def _input(one: Any) -> dict[str, Any]:
    """A data set of a run, as the entry of a journal."""
    source, tags = json.loads(one.dataset.source)["uri"], {tag.key: tag.value for tag in one.tags}
    about = {"name": one.dataset.name, "digest": one.dataset.digest, "source": source}
    return {"what": "dataset", "context": tags.pop("mlflow.data.context"), "tags": tags} | about


def _folder(run: Any) -> Path:
    return Path(unquote(urlsplit(run.info.artifact_uri).path))


def _artifacts(number: int, source: Path, target: Path) -> dict[str, float]:
    """Link the template's files; weights and predictions become the run's own. The metrics of these."""
    shutil.copytree(source, target, copy_function=os.link)
    for manifest in target.glob(f"*/{checkpoint.MANIFEST}"):
        _own_weights(manifest, number)
    found: dict[str, float] = {}
    for file in target.glob("predictions/*.csv"):
        found |= {f"test/{file.stem}/{name}": value for name, value in _own_predictions(file, number).items()}
    return found


def _own_weights(manifest: Path, number: int) -> None:
    """A name more in the state: another digest, the same weights."""
    file, about = manifest.with_name(checkpoint.STATE), json.loads(manifest.read_text(encoding="utf-8"))
    state = json.dumps(json.loads(file.read_bytes()) | {"copy": number}).encode()
    about["files"][file.name] = {"bytes": len(state), "sha256": hashlib.sha256(state).hexdigest()}
    _replace(file, state)
    _replace(manifest, json.dumps(about).encode())


def _own_predictions(file: Path, number: int) -> dict[str, float]:
    """Each prediction moved a little; the metrics of the new ones."""
    header, *lines = csv.reader(file.read_text(encoding="utf-8").splitlines())
    at, rng = header.index("prediction"), np.random.default_rng(sub_seed("copy", number, file.stem))
    moved = np.array([float(line[at]) for line in lines]) + rng.normal(0, NOISE, len(lines))
    scores = np.array([float(line[header.index("score")]) for line in lines])
    for line, value in zip(lines, moved.tolist(), strict=True):
        line[at] = repr(value)
    _replace(file, "".join(",".join(line) + "\n" for line in [header, *lines]).encode())
    return metrics.summary(moved, scores)


def _replace(file: Path, content: bytes) -> None:
    file.unlink()  # a link: the template keeps its own
    file.write_bytes(content)


def fill(folder: Path, seeds: int) -> None:
    """The store of the working directory, `folder`, with the run of every cell."""
    from entrypoints import main

    (folder / FILE).write_text(yaml.safe_dump(declared(seeds), sort_keys=False), encoding="utf-8")
    if main.main([*WORDS, f"--only={TEMPLATES}"]):
        raise RuntimeError("the three cells that the others are made after could not be computed")
    made = {row.tags["stage"]: store.client().get_run(row.run_id) for row in tracking.rows(status="FINISHED")}
    plan, outcome = planned(), running.Outcome(runs=tracking.Snapshot())
    copies, began = Copies(made, outcome), time.perf_counter()
    running.steps(
        plan, outcome, lambda cell: running.settle(cell, outcome, lambda _: None, experiment.Choice()), copies
    )
    copies.flush()
    print(f"{len(outcome.done)} cells have a run, filled in {time.perf_counter() - began:.0f} s", flush=True)


def planned() -> experiment.Plan:
    return experiment.plan(FILE, "", "", dict(word.removeprefix("--").split("=") for word in WORDS[1:]))


def look_up(words: list[str]) -> int:
    """Is a cell finished: its key made and its run found, as the first question that a process asks."""
    cell = experiment.cell("pretrain", planned().pretraining(f"pretrained-{RATES[-1]}", 0), {})
    return 0 if experiment.finished(cell) else 1


def measured(folder: Path, seeds: int) -> Iterator[Row]:
    """Each question in a process of its own, in the folder of the store."""
    store_of = f"{RUNS * seeds:,} runs × {METRICS} metrics × {STEPS} steps"
    for measure, work, reach in ASKED:
        found = beyond.taken(folder, work, *WORDS)
        about = f"{store_of}, SQLite; {found.processor:.2f} s of the processor"
        yield Row(f"{measure}, beyond the imports", found.seconds, reach, about)


def main() -> int:
    """Fill a store, ask it, leave the rows; 0 whatever they are, since they say themselves what was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"{RUNS} runs each")
    parser.add_argument("--folder", type=Path, help="keep the store there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iqa-big-store-") as temporary:
        folder = (given.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "IQA_CACHE": str(folder / "cache")}
        filled = folder / f"filled-{given.seeds}-{code.sources()[:12]}"  # other code asks for other cells
        if not filled.is_file():
            if any(folder.iterdir()):
                parser.error(f"{folder} is not empty, and has no store of {given.seeds} seeds that this code filled")
            fill(folder, given.seeds)
            filled.touch()
        with disturbance() as others:
            found = list(printed(measured(folder, given.seeds)))
        if given.seeds == SEEDS:
            save("big_store", found, others[0])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
