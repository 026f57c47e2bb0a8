"""A report's evidence in one zip: rows, histories, predictions and configs, so that others can recompute it."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from iqa.report.evidence import Fetch, History, ReportError, Row

EXPERIMENT, ROWS, HISTORIES, FILES, NUMBERS = "experiment.json", "rows.json", "histories.json", "files", "numbers.csv"
# pictures belong to others, features are large; no number comes from them
LEFT_OUT = ("attention/", "features/", "pictures/")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can hold: the same evidence, the same bytes


@dataclass(frozen=True)
class Bundled:
    """A run as a bundle keeps it: the shape of `evidence.Row`."""

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    start: int | None
    end: int | None


@dataclass
class Recorder:
    """A store's history and fetch that remember what a report asked for."""

    inner_history: History
    inner_fetch: Fetch
    histories: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)
    files: dict[tuple[str, str], Path] = field(default_factory=dict)

    def history(self, run: str, key: str) -> list[tuple[int, float]]:
        found = [(int(step), float(value)) for step, value in self.inner_history(run, key)]
        self.histories.setdefault(run, {})[key] = found
        return found

    def fetch(self, run: str, path: str) -> Path:
        found = self.inner_fetch(run, path)
        self.files[run, path] = found
        return found


def write(target: Path, recorded: Recorder, rows: Sequence[Row], experiment: Mapping[str, Any], numbers: Path) -> Path:
    """The zip; the same evidence gives the same bytes."""
    kept = [Bundled(*(_plain(row, name) for name in Bundled.__dataclass_fields__)) for row in rows]
    content = {
        EXPERIMENT: declared(experiment).encode(),
        ROWS: _json([asdict(row) for row in sorted(kept, key=lambda row: row.run_id)]),
        HISTORIES: _json(recorded.histories),
        NUMBERS: numbers.read_bytes(),
    }
    for (run, path), file in recorded.files.items():
        if not path.startswith(LEFT_OUT):
            content[f"{FILES}/{run}/{path}"] = file.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for name in sorted(content):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            out.writestr(info, content[name])
    return target


def declared(experiment: Mapping[str, Any]) -> str:
    """What is told of an experiment, as JSON: in its own order, which is the order of arms in every table."""
    return json.dumps(dict(experiment), indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Opened:
    """A bundle unpacked into `folder`: what a report needs instead of a store."""

    folder: Path
    experiment: dict[str, Any]
    rows: list[Bundled]
    histories: dict[str, dict[str, list[tuple[int, float]]]]

    def history(self, run: str, key: str) -> list[tuple[int, float]]:
        return [(int(step), float(value)) for step, value in self.histories.get(run, {}).get(key, ())]

    def fetch(self, run: str, path: str) -> Path:
        found = self.folder / FILES / run / path
        if not found.is_file():
            raise ReportError(f"the bundle has no {path} of run {run}")
        return found


def read(source: Path, folder: Path) -> Opened:
    """Unpack a bundle. Raises ReportError for a file that is none."""
    try:
        with zipfile.ZipFile(source) as packed:
            packed.extractall(folder)
        experiment, rows, histories = (json.loads((folder / n).read_bytes()) for n in (EXPERIMENT, ROWS, HISTORIES))
        return Opened(folder, experiment, [Bundled(**row) for row in rows], histories)
    except (zipfile.BadZipFile, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ReportError(f"{source} is no bundle of `report --bundle` ({error})") from error


def _plain(row: Row, name: str) -> Any:
    value = getattr(row, name)
    return dict(value) if isinstance(value, Mapping) else value


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
