"""The studies' own faults, injected by `benchmarks.study_faults`, as trials of the table."""

from dataclasses import asdict

from benchmarks import postgres, study_faults
from benchmarks.faults.home import Home
from benchmarks.faults.place import Place
from benchmarks.faults.row import Outcome, Untried

KILLS, AWAY = 25, 60.0  # kills in one study; seconds without a database
PATIENCE = 3600.0  # seconds
SINGLE = tuple(fault for fault in study_faults.FAULTS if fault != "kills")


def injected(home: Home, name: str, fault: str, seed: int, without: str = "") -> Outcome:
    """One of its faults; everything that it starts ends with it."""
    if fault in study_faults.OF_POSTGRES and not postgres.installed():
        raise Untried("no PostgreSQL is installed")
    with Place(home, f"study {name}", without) as place:
        count = place.ask(lambda: asdict(study_faults.inject(fault, KILLS, AWAY, seed)), PATIENCE)
        wrong = count["held"] < count["tried"]
        return (f"{count['held']} of {count['tried']}: {count['note']}", "") if wrong else ("", count["note"])
