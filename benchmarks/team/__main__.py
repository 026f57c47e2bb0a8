"""An experiment against the team's server, whose MLflow and whose object store are killed meanwhile, compared with the
same experiment in the embedded store: what the stores hold, and the report, byte for byte.

    python -m benchmarks.team                     the demo; `make server-demo`
    python -m benchmarks.team --preset=smoke      small and quick

Everything lies in a temporary folder, servers are plain processes. Exit code 1 if anything was lost or differs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults import trace, warm
from benchmarks.faults.home import ROOT
from benchmarks.team import masking
from benchmarks.team.stack import Stack, refuse_lacking
from entrypoints.command import BAD_INPUT, TRY_AGAIN

AWAY = 5.0  # seconds that a killed service is gone, beside the time that it takes to start
VICTIMS = ("mlflow", "objects")
AGAIN = 3  # times that the command may be given
HOUR = 3600.0


class Place:
    """A folder of one experiment: its runs, its store if that is embedded, its report."""

    def __init__(self, folder: Path, words: Sequence[str], server: dict[str, str]):
        self.folder, self.words = folder, words
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "IQA_"))}
        caches = {"IQA_CACHE": str(folder.parent / "cache"), "PYTHONPATH": str(ROOT)}
        self.environment = kept | caches | server
        folder.mkdir()

    def start(self) -> "subprocess.Popen[bytes]":
        """The experiment, as a user types it."""
        command = [sys.executable, "-m", "iqa", "main", *self.words]
        with (self.folder / "out.txt").open("ab") as out:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=out, stderr=out)

    def begun(self) -> int:
        """How many runs there are by now."""
        return len(list(self.folder.glob("runs/*/[0-9]*/journal.jsonl")))

    def report(self) -> Path:
        (found,) = (self.folder / "reports").iterdir()
        return found

    def trace(self) -> trace.Trace:
        """What the store and the disk hold, asked in a process of its own."""
        place = self.folder
        return dict(warm.answered(lambda: trace.trace(place), place / "asked.txt", self.environment, place))

    def said(self) -> str:
        return (self.folder / "out.txt").read_text(encoding="utf-8", errors="replace")[-2000:]


def undisturbed(place: Place) -> int:
    """Run the experiment once; how many runs it has."""
    if code := place.start().wait(HOUR):
        raise RuntimeError(f"The undisturbed experiment ends with {code}: {place.said()}")
    return place.begun()


def disturbed(place: Place, stack: Stack, runs: int) -> int:
    """Kill each victim once amid the experiment, start it again; how often the command had to be given."""
    command = Repeated(place)
    for number, name in enumerate(VICTIMS, 1):
        wanted = max(1, number * runs // (len(VICTIMS) + 1))
        if not warm.until(lambda: place.begun() >= wanted or command.over(), HOUR, 0.1):  # noqa: B023
            raise RuntimeError(f"The experiment does not come to run {wanted}: {place.said()}")
        if command.over():
            raise RuntimeError(f"The experiment ended before {name} was killed: {place.said()}")
        print(f"{name} is killed while run {place.begun()} of {runs} is going on", flush=True)
        stack.kill(name)
        time.sleep(AWAY)
        stack.start(name)
    if not warm.until(command.over, HOUR, 0.5):
        raise RuntimeError(f"The experiment does not end: {place.said()}")
    return command.times


class Repeated:
    """The command, given again as its exit code asks for: everything is kept, and it goes on."""

    def __init__(self, place: Place):
        self.place, self.times = place, 1
        self.process = place.start()

    def over(self) -> bool:
        """Whether it has ended well; one that ended with the code for "try again" is given again."""
        code = self.process.poll()
        if code in (None, 0):
            return code == 0
        if code != TRY_AGAIN or self.times == AGAIN:
            raise RuntimeError(f"The experiment ends with {code}: {self.place.said()}")
        print(f"the command ended with {code}: {self.place.said().strip().splitlines()[-1]}", flush=True)
        self.process, self.times = self.place.start(), self.times + 1
        return False


def main() -> int:
    """Run both, compare; exit code 2 where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _, words = parser.parse_known_args()  # for `iqa main`
    try:
        return compared(words)
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def compared(words: Sequence[str]) -> int:
    """1 if something was lost or differs. Raises ValueError where a program is missing, RuntimeError where one ends."""
    refuse_lacking()
    with tempfile.TemporaryDirectory(prefix="iqa-team-demo-") as top:
        embedded = Place(Path(top, "embedded"), words, {})
        runs = undisturbed(embedded)
        print(f"the embedded store: {runs} runs", flush=True)
        with Stack() as stack:
            print(f"the team's server: {stack.address}, optuna-dashboard {stack.dashboard}", flush=True)
            team = Place(Path(top, "team"), words, stack.environment())
            times = disturbed(team, stack, runs)
            lost = trace.differences(embedded.trace(), team.trace())
        wrong = masking.differences(embedded.report(), team.report())
    print(f"killed and started again: {', '.join(VICTIMS)}; the command was given {times} times")
    print(f"runs, metrics, artifacts, weights: {lost or 'the same in both stores'}")
    print(
        "\n".join(f"report: {one}" for one in wrong) or "report: the same bytes, but for ids, dates, addresses, costs"
    )
    return int(bool(lost or wrong))


if __name__ == "__main__":
    raise SystemExit(main())
