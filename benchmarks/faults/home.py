"""The harness's own folder: pictures, an empty store, and what the undisturbed commands have left."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import toys
from benchmarks.faults import warm
from iqa import tracking

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Home:
    """The harness's own folder."""

    folder: Path

    def prepare(self) -> None:
        """Pictures and an empty tracking store. Done once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "photos" / "scores.csv").is_file():
            toys.photographs(self.folder / "photos")
        if not (self.folder / "mlflow.db").is_file():
            out = self.folder / "store.txt"
            warm.answered(_tables, out, self.environment(self.folder), self.folder)

    def environment(self, folder: Path) -> dict[str, str]:
        """Of a process in a folder; nothing of the shell's own tracking gets in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "IQA_"))}
        return kept | {
            "IQA_RUNS": str(folder / "runs"),
            "IQA_CACHE": str(self.folder / "cache"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }

    def oracle(self, stage: str) -> dict[str, Any]:
        """Of the undisturbed command: its `trace`, what it `passed` and when, how many `seconds` it took."""
        return dict(json.loads((self.folder / f"oracle-{stage}.json").read_text(encoding="utf-8")))

    def steps(self, stage: str) -> int:
        """How many steps the undisturbed command does."""
        return [name for name, _ in self.oracle(stage)["passed"]].count("after-step")


def _tables() -> int:
    return len(tracking.rows())  # asking makes the tables
