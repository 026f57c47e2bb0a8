"""An experiment whose cells are all done, run again: seconds beyond what the imports take."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.performance.rows import Row
from benchmarks.study_machinery import place
from benchmarks.timing import turns

WORDS = ["main", "--preset=smoke", "--seeds=0,1"]
TURNS = 3
RUN = f"""
import json, pathlib, sys
from iqa.__main__ import main
sys.argv = ["iqa", *{WORDS}]
code = main()
pathlib.Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
raise SystemExit(code)
"""
IMPORT = """
import json, pathlib
from benchmarks.faults.warm import warm
warm(json.loads(pathlib.Path("modules.json").read_text()))
"""


def measured(full: bool) -> Iterator[Row]:
    """Two arms, two seeds; the report is written anew each time."""
    with place() as environment:
        environment["IQA_CACHE"] = str(Path(environment["HERE"], "cache"))
        run = partial(subprocess.run, env=environment, cwd=environment["HERE"], check=True, capture_output=True)
        run([sys.executable, "-c", RUN])
        commands = {"again": [sys.executable, "-c", RUN], "imports": [sys.executable, "-c", IMPORT]}
        seconds = turns({name: partial(run, command) for name, command in commands.items()}, TURNS)
    beyond = statistics.median(a - i for a, i in zip(seconds["again"], seconds["imports"], strict=True))
    again, imports = (statistics.median(seconds[name]) for name in commands)
    about = f"{again:.1f} s, of which imports {imports:.1f}; `iqa {' '.join(WORDS)}`"
    yield Row("a finished experiment, run again, beyond the imports", beyond, "≤ 5 s", about)
