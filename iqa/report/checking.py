"""Does every number of a report still follow from its runs? A list of sentences, empty where all is well."""

import csv
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iqa import metrics
from iqa.report import bundle
from iqa.report.building import unlinked
from iqa.report.evidence import FINISHED, Fetch, History, ReportError, Row, tested
from iqa.report.predictions import read_predictions

CLOSE = 1e-9  # relative: the same sums in another order


def check(folder: Path, rows: Sequence[Row], history: History, fetch: Fetch) -> list[str]:
    """A written report against a store: its runs are there and finished, their metrics follow from their
    predictions, and every number comes out again."""
    try:
        experiment = json.loads((folder / bundle.EXPERIMENT).read_bytes())
        shown = _numbers(folder / bundle.NUMBERS)
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise ReportError(
            f"{folder} holds no whole report ({error}): write it first with the command report"
        ) from error
    by_id = {row.run_id: row for row in rows}
    used = {run for line in shown for run in line["runs"].split()}
    faults = [f"{_count(shown, run)} numbers rest on run {run}, which is gone" for run in sorted(used - by_id.keys())]
    for run in sorted(used & by_id.keys()):
        if by_id[run].status != FINISHED:
            faults.append(f"run {run} ({by_id[run].name}) is {by_id[run].status}, and numbers rest on it")
    faults += [f"a number of '{line['what']}' names no run" for line in shown if not line["runs"].strip()]
    here = [by_id[run] for run in sorted(used & by_id.keys())]
    faults += [fault for row in here for fault in recomputed(row, fetch)]
    if used - by_id.keys():
        return faults  # what rests on them cannot be computed again
    return faults + _again(shown, rows, history, fetch, experiment)


def check_bundle(source: Path) -> list[str]:
    """A bundle against itself, without store or data."""
    with tempfile.TemporaryDirectory() as place:
        opened = bundle.read(source, Path(place))
        return check(opened.folder, opened.rows, opened.history, opened.fetch)


def pack(folder: Path, rows: Sequence[Row], history: History, fetch: Fetch, target: Path) -> Path:
    """The evidence of a written report as a zip from which `check_bundle` computes every number again."""
    experiment = json.loads((folder / bundle.EXPERIMENT).read_bytes())
    used = [row for row in rows if row.run_id in set(experiment["rows"])]
    recorder = bundle.Recorder(history, fetch)
    with tempfile.TemporaryDirectory() as place:
        unlinked(used, recorder.history, recorder.fetch, experiment, Path(place))
        for row in used:
            recomputed(row, recorder.fetch)  # asks for every run's predictions
    return bundle.write(target, recorder, used, experiment, folder / bundle.NUMBERS)


def recomputed(row: Row, fetch: Fetch) -> list[str]:
    """A sentence for each logged test metric that the run's own predictions do not give."""
    faults = []
    for dataset in sorted({key.split("/")[1] for key in row.metrics if key.startswith("test/") and key.endswith("/n")}):
        try:
            found = read_predictions(fetch(row.run_id, f"predictions/{dataset}.csv"), row.run_id)
        except (OSError, ValueError, KeyError) as error:
            faults.append(f"run {row.run_id} ({row.name}): its predictions on {dataset} cannot be read ({error})")
            continue
        for name, value in metrics.summary(found.values, found.scores).items():
            key = tested(dataset, name)
            logged = row.metrics.get(key, math.nan)
            if key in row.metrics and not _same(logged, value):
                faults.append(
                    f"run {row.run_id} ({row.name}): {key} is logged as {logged!r}, predictions give {value!r}"
                )
    return faults


def _again(
    shown: Sequence[Mapping[str, str]],
    rows: Sequence[Row],
    history: History,
    fetch: Fetch,
    experiment: Mapping[str, Any],
) -> list[str]:
    """The report written once more, elsewhere, and every number compared."""
    with tempfile.TemporaryDirectory() as place:
        used = {str(row.run_id) for row in _listed(rows, experiment)}
        unlinked([row for row in rows if row.run_id in used], history, fetch, experiment, Path(place))
        anew = _numbers(Path(place) / bundle.NUMBERS)
    faults = []
    if len(anew) != len(shown):
        faults.append(f"the report has {len(shown)} numbers, its runs give {len(anew)}")
    for old, new in zip(shown, anew, strict=False):
        name = " ".join(filter(None, (old["what"], old["part"])))
        if (old["what"], old["part"], old["runs"]) != (new["what"], new["part"], new["runs"]):
            faults.append(f"'{name}' stands where the runs give '{new['what']} {new['part']}'")
            break
        if not _same(float(old["value"]), float(new["value"])):
            faults.append(f"'{name}' is {old['value']}, its runs {old['runs']} give {new['value']}")
        elif old["shown"] != new["shown"]:
            faults.append(f"'{name}' is shown as {old['shown']}, its runs {old['runs']} give {new['shown']}")
    return faults


def _listed(rows: Sequence[Row], experiment: Mapping[str, Any]) -> list[Row]:
    """The rows that the report was built from, by the experiment's own list where it has one."""
    told = experiment.get("rows")
    return [row for row in rows if row.run_id in told] if told is not None else list(rows)


def _numbers(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _count(shown: Sequence[Mapping[str, str]], run: str) -> int:
    return sum(run in line["runs"].split() for line in shown)


def _same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12)
