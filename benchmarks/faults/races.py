"""Two commands on one run folder at the same moment: one works, the other one refuses and says who does."""

from benchmarks.faults.home import Home
from benchmarks.faults.place import PATIENCE, Place
from benchmarks.faults.row import Outcome
from entrypoints.command import BAD_INPUT

LONGEST = 2.0  # seconds between asking for the folder and refusing


def race(home: Home, name: str, stage: str, without: str = "") -> Outcome:
    """The same command twice at once."""
    with Place(home, name, without) as place:
        both = [place.start(stage), place.start(stage)]
        codes = [child.wait(PATIENCE) for child in both]
        wrong = [f"exit codes {codes} instead of 0 and {BAD_INPUT}"] if sorted(codes) != [0, BAD_INPUT] else []
        said = place.out.read_text(encoding="utf-8")
        winner = both[codes.index(0)].pid if 0 in codes else 0
        wrong += ["the holder is not named"] if f"is in use by process {winner} " not in said else []
        waited = [float(note.name.partition("=")[2]) for note in place.notes() if note.name.startswith("refused=")]
        wrong += [f"it refused after {waited} s"] if not waited or waited[0] > LONGEST else []
        return "; ".join(wrong) or place.wrong(stage), f"refused after {waited[0]:.1f} s" if waited else ""
