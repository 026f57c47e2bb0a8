"""Does every number of a report still follow from its runs? A list of sentences, empty where all is well."""

import csv
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from iqa import metrics
from iqa.report import bundle
from iqa.report.building import build, no_page, unlinked
from iqa.report.evidence import FINISHED, Fetch, History, ReportError, Row, tested
from iqa.report.predictions import Predictions, read_predictions
from iqa.report.verdicts import SHARES

CLOSE = 1e-9  # relative: the same sums in another order
PLACES = ("report.html", "report.md", "tables/*", "figures/*")
# of a run's page, up to the run: the same store is reached by several, and the run is what a number rests on
ADDRESS = re.compile(r"https?://(?:[^\s\"<>)]*?/runs/|[^\s\"<>)]*/)")
PICTURE = re.compile(r"data:image/[^\"]+")  # inside the page: another version of the library draws other bytes

Url = Callable[[str], str]


def check(folder: Path, rows: Sequence[Row], history: History, fetch: Fetch, url: Url | None = None) -> list[str]:
    """A written report against a store: its runs are there and finished, their metrics follow from their
    predictions, every number comes out again, and so does every page and table.

    url(run id) → the run's page; without it there are only numbers, as in a bundle.
    """
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
    with tempfile.TemporaryDirectory() as place:
        build(_listed(rows, experiment), history, fetch, experiment, url or no_page, Path(place))
        faults += _compared(shown, _numbers(Path(place) / bundle.NUMBERS))
        if url is not None and not faults:  # else every page differs, and the numbers say why
            faults += written(folder, Path(place))
    return faults


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
    told = [name.split("/")[1] for name in row.metrics if name.startswith("test/") and name.endswith("/n")]
    for dataset in sorted(set(told)):
        for artifact, values in _sources(row, dataset):
            try:
                found = dict(values(read_predictions(fetch(row.run_id, artifact), row.run_id)))
            except (OSError, ValueError, KeyError) as error:
                faults.append(f"run {row.run_id} ({row.name}): its predictions on {dataset} cannot be read ({error})")
                continue
            faults += [
                f"run {row.run_id} ({row.name}): {key} is logged as {row.metrics[key]!r}, predictions give {value!r}"
                for key, value in found.items()
                if key in row.metrics and not _same(row.metrics[key], value)
            ]
    return faults


Values = Callable[[Predictions], Iterator[tuple[str, float]]]


def _sources(row: Row, dataset: str) -> Iterator[tuple[str, Values]]:
    """A run's files of predictions on a set, and the metrics that follow from each."""
    yield f"predictions/{dataset}.csv", partial(_tested, dataset=dataset)
    for share in SHARES:
        if f"probe/{share}/srcc" in row.metrics:
            yield f"probes/{dataset}-{share}.csv", partial(_correlated, prefix=f"probe/{share}")


def _tested(found: Predictions, dataset: str) -> Iterator[tuple[str, float]]:
    """Of a whole set, then within each family of degradations that it names."""
    for name, value in metrics.summary(found.values, found.scores).items():
        yield tested(dataset, name), value
    for family in sorted(set(found.families.tolist()) - {"", "reference"}):
        others = sorted(set(found.families.tolist()) - {family})
        yield from _correlated(found.without(others), tested(dataset, f"family/{family}"))


def _correlated(found: Predictions, prefix: str) -> Iterator[tuple[str, float]]:
    if len(found.scores) > 1:
        yield f"{prefix}/srcc", metrics.srcc(found.values, found.scores)
        yield f"{prefix}/plcc", metrics.plcc(found.values, found.scores)


def written(folder: Path, anew: Path) -> list[str]:
    """A sentence for each page, table or figure of a report that is not as it comes out anew."""
    places = [{str(file.relative_to(one)) for p in PLACES for file in one.glob(p)} for one in (folder, anew)]
    faults = [f"{name} is no part of the report that the runs give" for name in sorted(places[0] - places[1])]
    faults += [f"{name} is gone: write the report again" for name in sorted(places[1] - places[0])]
    for name in sorted(places[0] & places[1]):
        if not name.endswith(".png"):
            sides = [_bare((one / name).read_bytes().decode(errors="replace")) for one in (folder, anew)]
            faults += [f"{name} is not what the runs give: {_first(*sides)}"] if sides[0] != sides[1] else []
    return faults


def _bare(text: str) -> str:
    return PICTURE.sub("", ADDRESS.sub("", text))


def _first(one: str, other: str) -> str:
    """Where two texts part, in a few words of each."""
    lines = zip([*one.split("\n"), ""], [*other.split("\n"), ""], strict=False)
    number, (old, new) = next((at, pair) for at, pair in enumerate(lines, 1) if pair[0] != pair[1])
    start = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    said, given = (line[max(0, start - 20) : start + 20] for line in (old, new))
    return f"line {number} has '{said}', where they give '{given}'"


def _compared(shown: Sequence[Mapping[str, str]], anew: Sequence[Mapping[str, str]]) -> list[str]:
    """The written numbers beside those of the same report computed once more."""
    faults = []
    if len(anew) != len(shown):
        faults.append(f"the report has {len(shown)} numbers, its runs give {len(anew)}")
    for old, new in zip(shown, anew, strict=False):
        name = " ".join(filter(None, (old["what"], old["part"])))
        if (old["what"], old["part"], old["runs"]) != (new["what"], new["part"], new["runs"]):
            faults.append(f"'{name}' stands where the runs give '{new['what']} {new['part']}'")
            break
        if not _same(_value(old), _value(new)):
            faults.append(f"'{name}' is {old['value']}, its runs {old['runs']} give {new['value']}")
        elif old["shown"] != new["shown"]:
            faults.append(f"'{name}' is shown as {old['shown']}, its runs {old['runs']} give {new['shown']}")
    return faults


def _value(line: Mapping[str, str]) -> float:
    """What is no number at all differs from every number."""
    try:
        return float(line["value"])
    except ValueError:
        return math.inf


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
