"""A toy experiment for the tests of the report: rows, histories and predictions written by hand."""

import csv
import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from iqa import report
from iqa.randomness import sub_seed
from iqa.report.document import Section, Table, plain, table_csv, walk
from iqa.report.evidence import Evidence, Row

HOST = "http://tracking.test:5000"
TARGETS = ("optics", "sensor")
EPOCHS = (1, 2, 3)
EXPERIMENT = {
    "name": "toy",
    "preset": "smoke",
    "demonstration": True,
    "arms": {"baseline": {"title": "ImageNet", "pretrain": None}, "pretrained": {"title": "Quality", "pretrain": {}}},
    "seeds": [0, 1, 2],
    "contrasts": [{"name": "pretraining", "treatment": "pretrained", "baseline": "baseline"}],
    "data": "sample",
    "targets": list(TARGETS),
    "commands": {},
    "notes": ["the toy's scores were drawn, <b>not</b> given by people"],
}


@dataclass(frozen=True)
class Run:
    """The shape of tracking.RunRow."""

    run_id: str
    name: str
    status: str = "FINISHED"
    params: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    start: int | None = 1_790_000_000_000
    end: int | None = 1_790_000_060_000
    experiment_id: str = "1"
    parent: str | None = "p" * 32


class Store:
    """Rows with histories and prediction files, as a tracking store would hand them out."""

    def __init__(self, folder: Path):
        self.folder, self.rows, self.curves = folder, [], {}

    def add(self, stage: str, arm: str, seed: int, metrics: dict, curves: dict) -> None:
        run = f"{len(self.rows):02d}{stage[0]}{arm[0]}{seed}".ljust(32, "f")
        tags = {"stage": stage, "arm": arm, "seed": str(seed), "git.commit": "c0ffee", "git.dirty": "False"}
        tags |= {"iqa.command": f"iqa {stage} --seed={seed}", "machine.cpu": "Toy CPU"}
        params = {
            "optim.epochs": "3",
            "data.name": "sample",
            "optim.head_lr": "0.001",
            "model.encoder": "",
            "seed": str(seed),
        }
        start = 1_790_000_000_000 + len(self.rows)
        self.rows.append(
            Run(run, f"{arm} {stage} seed {seed}", "FINISHED", params, tags, metrics, start, start + 60_000)
        )
        self.curves[run] = curves
        folder = self.folder / run
        folder.mkdir()
        (folder / "environment.txt").write_text("# python 3.11.9 (cpython)\n# Toy-OS\nnumpy==2.4.6\ntorch==2.14.1\n")
        (folder / "manifest.json").write_text('{"files": {"tensors.safetensors": {"bytes": 12345678}}}')

    def predict(self, dataset: str, scores: np.ndarray, predictions: np.ndarray) -> None:
        path = self.folder / self.rows[-1].run_id / f"{dataset}.csv"
        lines = [f"{i:03d}.png,g{i // 2},{s},{p}\n" for i, (s, p) in enumerate(zip(scores, predictions, strict=True))]
        path.write_text("path,group,score,prediction\n" + "".join(lines))

    def history(self, run: str, key: str) -> list[tuple[int, float]]:
        return self.curves[run].get(key, [])

    def fetch(self, run: str, artifact: str) -> Path:
        kept = self.folder / run / artifact  # where a test has put one; else all lie side by side
        found = kept if kept.exists() else self.folder / run / Path(artifact).name
        if not found.exists():
            raise FileNotFoundError(f"{artifact} of run {run}")  # as a store says it
        return found

    def build(self, folder: Path, **changes) -> report.Report:
        return report.build(self.rows, self.history, self.fetch, EXPERIMENT | changes, url, folder)

    def evidence(self, **changes) -> Evidence:
        return Evidence(self.rows, self.history, self.fetch, EXPERIMENT | changes)

    def run(self, stage: str, arm: str, seed: int) -> Row:
        return next(row for row in self.rows if row.name == f"{arm} {stage} seed {seed}")

    def answers(self, row: Row, dataset: str) -> Path:
        """The file of a run's predictions."""
        return self.folder / row.run_id / f"{dataset}.csv"

    def without(self, stage: str, arm: str, seed: int) -> None:
        wanted = (stage, arm, str(seed))
        kinds = ("stage", "arm", "seed")
        self.rows = [row for row in self.rows if tuple(row.tags.get(kind) for kind in kinds) != wanted]


def lines(table: Table) -> list[dict[str, str]]:
    """A table as its csv tells it."""
    return list(csv.DictReader(io.StringIO(table_csv(table))))


def url(run: str) -> str:
    return f"{HOST}/#/experiments/1/runs/{run}"


def logged(store: Store, dataset: str, noise: float, seed: int) -> dict:
    """Noisy predictions of 24 images, and the metrics that a stage would log of them."""
    scores, predictions, found = drawn(dataset, noise, seed)
    store.predict(dataset, scores, predictions)
    return {f"test/{dataset}/{key}": value for key, value in found.items()}


@cache
def drawn(dataset: str, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Scores, predictions (24,) each, and their metrics."""
    from iqa import metrics

    scores = np.random.default_rng(len(dataset)).uniform(size=24).round(6)
    predictions = scores + np.random.default_rng(sub_seed(dataset, noise, seed)).normal(0, noise, 24)
    return scores, predictions, metrics.summary(predictions, scores) | {"srcc_low": 0.5, "srcc_high": 0.9}


def words(section: Section) -> str:
    """The text of a section and of all below it."""
    return "\n".join(plain(block.parts) for block in walk([section]) if hasattr(block, "parts"))


def make(folder: Path) -> Store:
    """Two arms, three seeds, two targets: everything finished."""
    made = Store(folder)
    for seed in EXPERIMENT["seeds"]:
        curves = {key: [(e, 0.1 * seed + 1 / e) for e in EPOCHS] for key in ("train/loss", "train/ranking")}
        curves["val/ordering"] = [(e, 1 - 0.3 / e) for e in EPOCHS]
        final = {"final/ordering": 0.97, "final/ordering/jpeg": 0.96 + seed / 100, "final/ordering/darken": 1.0}
        made.add("pretrain", "pretrained", seed, final | {"cost/hours": 0.01, "cost/images_per_s": 120.0}, curves)
    for arm, noise in (("baseline", 0.2), ("pretrained", 0.1)):
        for seed in EXPERIMENT["seeds"]:
            keys = ("train/loss", "train/srcc", "val/srcc", "test/sample/epoch_srcc", "test/sample/epoch_plcc")
            lift = {"baseline": 0.0, "pretrained": 0.03}[arm]
            curves = {key: [(e, 0.8 + lift + e / 100 + seed / 500) for e in EPOCHS] for key in keys}
            best = {"best/epoch": 3.0, "best/val_srcc": 0.9, "best/val_plcc": 0.9, "final/val_srcc": 0.89}
            made.add("finetune", arm, seed, best | {"cost/hours": 0.02}, curves)
            made.rows[-1].metrics.update(logged(made, "sample", noise, seed))
            made.add("evaluate", arm, seed, {}, {})
            for target in TARGETS:
                made.rows[-1].metrics.update(logged(made, target, 2 * noise, seed))
    return made
