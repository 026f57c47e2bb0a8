"""No-reference image quality assessment: pretrain, fine-tune, evaluate, compare, report."""

import os

__version__ = "0.1.0"

# torch's OpenMP reads this when it is loaded, so it stands before any import of torch. Workers that spin for long lose
# their core to whatever else runs, and every operation then waits for the slowest; workers that do not spin at all have
# to be woken for each of the many short operations (benchmarks/thread_waiting.py, DECISIONS.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
