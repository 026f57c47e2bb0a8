"""How long `iqa --help` takes, from the shell's point of view."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.performance.rows import Row
from benchmarks.timing import turns

TURNS = 9


def measured(full: bool) -> Iterator[Row]:
    """The installed command, beside a Python that does nothing."""
    iqa = Path(sys.executable).with_name("iqa")
    run = partial(subprocess.run, check=True, capture_output=True)
    commands = {"help": [str(iqa), "--help"], "nothing": [sys.executable, "-c", "pass"]}
    seconds = turns({name: partial(run, command) for name, command in commands.items()}, TURNS)
    told, nothing = (statistics.median(seconds[name]) for name in commands)
    about = f"median of {TURNS}; an empty Python takes {nothing:.3f} s"
    yield Row("`iqa --help`", told, "≤ 0.4 s", about)
