"""How should OpenMP's workers wait? Training steps a second by how long they spin, alone and beside busy processes.

    python -m benchmarks.thread_waiting [--rounds 3]      # Linux; some minutes

A step is one of fine-tuning the bundled encoder with its head on 8 crops of 96 with all cores. The settings take
turns, each in a process of its own, and the medians of the rounds are printed. "ours" is what `import iqa` sets.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BATCH, CROP, STEPS = 8, 96, 15
SETTINGS = {
    "ours": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
    "libgomp's own": {"GOMP_SPINCOUNT": "300000"},
}
STEP = f"""
import iqa
from benchmarks.tracking_cost import trained
from iqa import machine
machine.threads(), machine.keep_memory()
print({BATCH} / trained({BATCH}, {CROP}, {STEPS})[0])
"""


def pace(setting: dict[str, str]) -> float:
    """Crops a second in a process with these variables."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run(
        [sys.executable, "-c", STEP], env=inherited | setting, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@contextmanager
def beside(count: int) -> Iterator[None]:
    """As many processes that only compute, as long as the block."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> int:
    """Measure and print a line for each number of busy processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    given = parser.parse_args()
    for busy in range(3):
        with beside(busy):
            found = [{name: pace(setting) for name, setting in SETTINGS.items()} for _ in range(given.rounds)]
        medians = {name: statistics.median(one[name] for one in found) for name in SETTINGS}
        paces = ", ".join(f"{name} {value:.1f}" for name, value in medians.items())
        print(f"beside {busy} busy processes, crops/s: {paces}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
