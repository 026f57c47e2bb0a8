"""What the full loss costs beside the simplified one: forward and backward of a pretraining step, one thread.

    python -m benchmarks.loss_cost            # about a minute

Same encoder, crops and embedding; the two take turns, processor time is counted, and the median of the turns' ratios
is what counts, so that other programs disturb little. Asked: at most 2% of a step.
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import ratio, turns

TURNS, CROP, IMAGES, LEVELS = 40, 96, 2, 5
SHARED = {"encoder": "", "weights": "bundled", "degrade.crop": CROP, "model.embedding": 1024}
KINDS: dict[str, dict[str, Any]] = {
    "simplified": {},
    "full": {"loss": "full", "loss.prototypes": "random"},
}


def main() -> None:
    """Time both and print the ratio."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from iqa import config, tracking
    from iqa.stages import pretrain

    torch.set_num_threads(1)
    views = torch.rand(IMAGES, 2, LEVELS, 3, CROP, CROP, generator=torch.Generator().manual_seed(0))
    told = {kind: config.load("pretrain", SHARED | more, "paper") for kind, more in KINDS.items()}
    with tempfile.TemporaryDirectory() as folder:
        models = {kind: pretrain.build(told[kind], tracking.Silent(Path(folder))).train() for kind in KINDS}

    def step(kind: str) -> None:
        scores = pretrain.score_views(models[kind], views)
        pretrain.terms_of(scores, told[kind].loss)["total"].backward()

    seconds = turns({kind: partial(step, kind) for kind in KINDS}, TURNS, time.process_time)
    middle = {kind: 1000 * statistics.median(times) for kind, times in seconds.items()}
    print("  ".join(f"{kind} {value:.1f} ms" for kind, value in middle.items()))
    print(f"full / simplified: {ratio(seconds, 'full', 'simplified'):.4f} (asked: at most 1.02)")


if __name__ == "__main__":
    main()
