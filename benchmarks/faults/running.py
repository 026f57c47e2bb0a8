"""Trials in parallel, in workers forked from the warm process; their results are kept, so that it can go on."""

import hashlib
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.faults import warm
from benchmarks.faults.home import ROOT, Home
from benchmarks.faults.row import Row, Untried


@dataclass(frozen=True)
class Result:
    """One trial's outcome; wrong: "" if it held; lacks: what the machine lacks for it, "" if it was tried."""

    row: str
    trial: str
    wrong: str
    note: str
    seconds: float
    lacks: str = ""


class Ledger:
    """The results so far, one JSON line each; begun anew where the code or the seed is another one."""

    def __init__(self, home: Home, seed: int):
        self.file = home.folder / "results.jsonl"
        about = json.dumps({"code": fingerprint(), "seed": seed})
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else []
        if not lines or lines[0] != about:
            shutil.rmtree(home.folder, ignore_errors=True)
            home.folder.mkdir(parents=True)
            self.file.write_text(about + "\n", encoding="utf-8")
            lines = [about]
        self.results = [Result(**json.loads(line)) for line in lines[1:]]

    def add(self, result: Result) -> None:
        """One that was not tried is not written down: the machine may have by the next time what it lacked."""
        self.results.append(result)
        if result.lacks:
            return
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(result)) + "\n")

    def has(self, row: str, trial: str) -> bool:
        return any((one.row, one.trial) == (row, trial) for one in self.results)


def fingerprint() -> str:
    """Of the product's code and the harness's."""
    hasher = hashlib.sha256()
    for folder in ("iqa", "entrypoints", "studies", "benchmarks"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            hasher.update(file.read_bytes())
    return hasher.hexdigest()


def run(rows: list[Row], kept: Ledger, workers: int) -> Iterator[Result]:
    """Yield each trial's result, those that were kept first."""
    wanted = [(row, trial) for row in rows for trial in row.trials]
    yield from (one for one in kept.results if any((one.row, one.trial) == (row.key, t) for row, t in wanted))
    waiting = [(row, trial) for row, trial in wanted if not kept.has(row.key, trial)]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=warm.follow) as pool:
        asked = {pool.submit(tried, row, trial): (row.key, trial) for row, trial in waiting}
        for future in as_completed(asked):
            broken = future.exception()  # the harness's own: it counts as a loss
            kept.add(Result(*asked[future], repr(broken), "", 0.0) if broken else future.result())
            yield kept.results[-1]


def tried(row: Row, trial: str) -> Result:
    """One trial."""
    began = time.monotonic()
    try:
        wrong, note = row.trials[trial]()
    except Untried as why:
        return Result(row.key, trial, "", "", 0.0, lacks=str(why))
    return Result(row.key, trial, wrong, note, round(time.monotonic() - began, 2))


def folder() -> Path:
    """Where the harness works: $IQA_FAULTS, else build/faults."""
    return Path(os.environ.get("IQA_FAULTS") or ROOT / "build" / "faults")
