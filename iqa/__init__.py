"""No-reference image quality assessment: pretrain, fine-tune, evaluate, compare, report."""

import os

__version__ = "0.1.0"

# torch's OpenMP reads this when it is loaded, so it stands before any import of torch. Workers that wait by spinning
# lose their core to whatever else runs, and every operation then waits for the slowest (DECISIONS.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
