"""What the platform costs beside the bare model, and against what a user would run instead.

    python -m benchmarks.performance              # every measure, then docs/performance.md; half an hour
    python -m benchmarks.performance losses help  # these, each in a process of its own
    python -m benchmarks.performance --full       # also what takes longer
    python -m benchmarks.performance --page       # docs/performance.md alone, from the rows that there are

Each prints a line per figure and writes benchmarks/results/performance/NAME.json. A figure that is missed stands there
as missed; the exit code is 1 only where a measure could not be made. Other work on the machine disturbs all of it: the
page says how much there was.
"""

import argparse
import os
import subprocess
import sys
import time
from importlib import import_module

from benchmarks.performance import document, rows


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(document.MEASURES))
    parser.add_argument("--full", action="store_true", help="also what takes longer")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = sorted(set(given.names) - document.MEASURES.keys())
    if unknown:
        parser.error(f"no measure '{unknown[0]}': there are {', '.join(document.MEASURES)}")
    if given.here:
        return here(given.names, given.full)
    failed = [] if given.page else [name for name in given.names or document.MEASURES if apart(name, given.full)]
    if given.page or not given.names:
        document.write()
    for name in failed:
        print(f"{name} could not be measured", file=sys.stderr)
    return int(bool(failed))


def apart(name: str, full: bool) -> int:
    """Measure in a process of its own, so that no thread, memory or import of one reaches another; its exit code."""
    began = time.monotonic()
    words = ["--here", name, *(["--full"] if full else [])]
    code = subprocess.run([sys.executable, "-m", "benchmarks.performance", *words]).returncode
    print(f"   {name}: {time.monotonic() - began:.0f} s", flush=True)
    return code


def here(names: list[str], full: bool) -> int:
    """Measure in this process."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name in names:
        measured = import_module(f"benchmarks.performance.{name}").measured
        with rows.disturbance() as others:
            found = list(rows.printed(measured(full)))
        rows.save(name, found, others[0])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
