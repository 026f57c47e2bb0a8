"""No room: a limit on the size of a file amid a checkpoint, a small tmpfs, a place where nothing can be written."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.faults.home import Home
from benchmarks.faults.place import Place
from benchmarks.faults.row import Outcome, Untried
from benchmarks.faults.trace import leftovers
from entrypoints.command import BAD_INPUT
from iqa import checkpoint

THIRD = 3  # the checkpoint that has no room


def limited(home: Home, name: str, stage: str, share: float, without: str = "") -> Outcome:
    """The third checkpoint may only be so large, as a share of what it would be; then there is room again."""
    with Place(home, name, without) as place:
        whole = _largest(home, stage)
        code = place.finish(stage, room=(THIRD, int(share * whole)))
        wrong = _after(place, code, place.run_folder())
        if not wrong and (code := place.finish(stage)):
            wrong = f"with room again it ended with {code}: {place.said()}"
        return wrong or place.wrong(stage), f"{int(share * whole)} of {whole} bytes"


def _largest(home: Home, stage: str) -> int:
    """Bytes of the tensors of a checkpoint."""
    return int(home.oracle(stage)["checkpoint_bytes"])


def _after(place: Place, code: int, run: Path) -> str:
    """What is wrong with a command that met a full disk."""
    said = place.said()
    wrong = [f"exit code {code}"] if code != BAD_INPUT else []
    wrong += ["no line with the path and the free bytes"] if not ("bytes are free" in said and str(run) in said) else []
    wrong += ["temporary files are left"] if leftovers(run) else []
    found = checkpoint.latest(run / "checkpoints")
    wrong += [] if found is not None and found[0] == THIRD - 1 else ["the last checkpoint does not load"]
    return f"{'; '.join(wrong)}: {said}" if wrong else ""


def small(home: Home, name: str, stage: str) -> Outcome:
    """The runs lie on a tmpfs that two checkpoints fill; then it grows."""
    with Place(home, name) as place:
        runs = place.folder / "runs"
        runs.mkdir()
        room = int(2.5 * _largest(home, stage))
        _mount(runs, f"size={room}")
        try:
            code = place.finish(stage)
            wrong = _after(place, code, place.run_folder())
            _mount(runs, "remount,size=4g")
            if not wrong and (code := place.finish(stage)):
                wrong = f"with room again it ended with {code}: {place.said()}"
            return wrong or place.wrong(stage), f"a tmpfs of {room} bytes"
        finally:
            subprocess.run(["umount", "-l", str(runs)], check=False)


def read_only(home: Home, name: str, stage: str, without: str = "") -> Outcome:
    """Nothing can be written where the runs should lie: one sentence, exit code 2."""
    with Place(home, name, without) as place:
        runs = place.folder / "runs"
        runs.mkdir()
        _mount(runs, "ro")
        try:
            code, said = place.finish(stage), place.said()
            wrong = code != BAD_INPUT or "Read-only" not in said or "Traceback" in said
            return f"exit code {code}: {said}" if wrong else "", ""
        finally:
            subprocess.run(["umount", "-l", str(runs)], check=False)


def _mount(folder: Path, options: str) -> None:
    """Mount a tmpfs there. Raises Untried where this user may not."""
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    allowed = os.geteuid() == 0 and shutil.which("mount") is not None
    if not allowed or subprocess.run(command, capture_output=True, check=False).returncode:
        raise Untried("this user may not mount a tmpfs")
