"""SIGKILL at named instants, at random ones, five times in one run: the same command again, equal to the oracle."""

import random
import signal

from benchmarks.faults import warm
from benchmarks.faults.attempt import counted
from benchmarks.faults.home import Home
from benchmarks.faults.place import Place
from benchmarks.faults.row import Outcome
from iqa import tracking
from iqa.tracking import shipping

ORPHANS = 5.0  # seconds that a killed process's own processes may take to go
TRIES = 6  # places for a random kill that came too late
FIRST = {  # instants that need a kill before them
    "amid-resume": "epoch-end:1",
    "amid-replacing": "last-metrics:1",
}
OF_EXPERIMENT = (  # that each of its runs has, evaluations and its own among them; the others are its stages' own
    *("between-stages", "amid-joining", "amid-validation", "amid-upload", "batch-sent"),
    *("last-metrics", "before-finished"),
)
SURE = 0.7  # of the batches of an undisturbed run: how many a run sends depends on how fast it goes


def instants(home: Home, stage: str) -> list[str]:
    """NAME:COUNT of what a command passes: the first time, half way and the last time."""
    passed = [name for name, _ in home.oracle(stage)["passed"]]
    found = []
    for name in dict.fromkeys(passed if stage != "main" else OF_EXPERIMENT):
        times = passed.count(name)
        last = max(1, int(SURE * times)) if name == "batch-sent" else times
        found += [f"{name}:{count}" for count in sorted({1, (1 + last) // 2, last})]
    return found + [f"{name}:1" for name in FIRST if stage != "main"]


def at_instant(home: Home, name: str, stage: str, instant: str, without: str = "") -> Outcome:
    """Killed at a named instant, then the same command."""
    before = FIRST.get(instant.partition(":")[0])
    with Place(home, name, without) as place:
        for kill in filter(None, (before, instant)):
            child = place.start(stage, kill_at=kill)
            if child.wait(300) != -signal.SIGKILL:
                return f"{kill} ended with {child.code} instead of being killed: {place.said()}", ""
            if orphans := left(child):
                return f"{kill}: {orphans}", ""
        return resumed(place, stage, kills=1 + bool(before))


def at_random(home: Home, name: str, stage: str, seed: int, kills: int = 1, without: str = "") -> Outcome:
    """Killed so many times at random instants, then the same command. Once more elsewhere if it was too late."""
    draw = random.Random(f"{seed} {name}")
    longest = home.oracle(stage)["seconds"] * (1.0 if kills == 1 else 0.6)
    for _ in range(TRIES):
        with Place(home, name, without) as place:
            for _kill in range(kills):
                child = place.start(stage)
                if warm.until(lambda: child.poll() is not None, draw.uniform(0, longest)):  # noqa: B023
                    break
                child.wait(0)
                if orphans := left(child):
                    return orphans, ""
                if over(place):  # nothing was left to lose, and the same command would be a new run
                    break
            else:
                return resumed(place, stage, kills)
            if child.code not in (0, -signal.SIGKILL):
                return f"an attempt ended with {child.code}: {place.said()}", ""
        longest *= 0.8
    return f"{TRIES} runs were over before their kill", ""


def unforked(home: Home, name: str, stage: str, instant: str) -> Outcome:
    """The command as a user types it, killed at an instant and typed again: forked processes are no special case."""
    with Place(home, name) as place:
        codes = [place.typed(stage, {"IQA_KILL_AT": instant}), place.typed(stage, {})]
        wrong = codes != [-signal.SIGKILL, 0]
        return f"exit codes {codes}: {place.said()}" if wrong else place.wrong(stage), ""


def position_lost(home: Home, name: str, stage: str, without: str = "") -> Outcome:
    """Killed with everything sent but the end, and nobody knows any more what was: all of it is sent again."""
    with Place(home, name, without) as place:
        place.finish(stage, kill_at="before-finished:1")
        (place.run_folder() / shipping.NAME).write_text("{", encoding="utf-8")
        return resumed(place, stage, kills=1)


def over(place: Place) -> bool:
    """Whether a killed process had already sent its run's end."""
    folders = list((place.folder / "runs").glob("*/[0-9]*"))
    return bool(folders) and tracking.is_finished(folders[0]) and not tracking.unsent(folders[0])


def left(child: warm.Child, seconds: float = ORPHANS) -> str:
    """Which processes of one that is gone are still there after some seconds; "" if none is."""
    if warm.until(lambda: not warm.session(child.pid), seconds):
        return ""
    return f"it left processes behind: {', '.join(map(warm.named, warm.session(child.pid)))}"


def resumed(place: Place, stage: str, kills: int) -> Outcome:
    """The same command to its end: what differs, and how many steps were done twice."""
    code = place.finish(stage)
    if code:
        return f"the same command ended with {code}: {place.said()}", ""
    again = counted(place.folder, "after-step") - place.home.steps(stage)
    if again > kills:  # the checkpoint interval is one step
        return f"{again} steps were done twice after {kills} kills", ""
    return place.wrong(stage), f"{again} steps again"
