"""What does never losing a run cost? Journal and checkpoints as a share of a step; how fast metrics are shipped.

    python -m benchmarks.tracking_cost [--batch 8] [--crop 224] [--steps 6] [--points 20000]

A step is one of fine-tuning the bundled encoder with its head, on one thread. A checkpoint is written every five
minutes (the default) and after an epoch of KonIQ-10k's training part, the selected weights too, as if each epoch were
the best; a journal line with 20 values here after every step, though the stages write one an epoch.
Shipping goes to a local `mlflow server` on SQLite. Exit code 1 beyond 1% or below 1,000 metrics a second.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.faults.servers import Tracking
from benchmarks.timing import median_of
from iqa import checkpoint, config, machine, optim, tracking
from iqa.loop import fit
from iqa.stages import finetune
from iqa.stages.state import State
from iqa.tracking.journal import Journal

MOST, LEAST = 0.01, 1000.0  # of a step's time; metrics a second
EPOCH = 7058  # images of KonIQ-10k's training part
VALUES = 20  # in a line
ENTRY = 100  # values in a line of the shipping test


def trained(batch: int, crop: int, steps: int) -> tuple[float, State]:
    """Seconds of a training step, and the state after some."""
    told = config.load("finetune", {"encoder": "", "weights": "bundled", "crops.size": str(crop)}, "demo")
    model = finetune.build(told).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = finetune.optimizer_of(model, told)
    pixels = torch.rand(batch, 3, crop, crop).contiguous(memory_format=torch.channels_last)
    scores = torch.rand(batch)

    def losses_of(_: object) -> list[dict[str, torch.Tensor]]:
        finetune.seed_masks(model, list(range(batch)))
        return [{"total": torch.nn.functional.l1_loss(model(pixels), scores)}]

    records = fit(losses_of, iter(lambda: 0, 1), optimizer, optim.cosine(100, 0.0), range(steps + 1))
    next(records)
    seconds = median_of(steps, lambda: next(records))
    return seconds, State(model, optimizer, step=steps)


def share(batch: int, crop: int, steps: int, folder: Path) -> float:
    """Journal and checkpoints as a share of a step's time."""
    step, state = trained(batch, crop, steps)
    journal = Journal(folder / "run")
    journal.start(stage="finetune", name="cost", experiment="iqa", parent=None)
    numbers, tree, weights = iter(range(10**6)), state.tree(), {"weights": state.model.state_dict()}
    values = {f"train/value_{n}": float(n) for n in range(VALUES)}
    line = median_of(200, lambda: journal.metrics(values, next(numbers)))
    saved = median_of(5, lambda: (journal.sync(), checkpoint.save(folder / "checkpoints", next(numbers), tree)))
    best = median_of(5, lambda: checkpoint.save(folder / "best", next(numbers), weights, keep=3))
    minutes = config.load("finetune", {}, "demo").compute.checkpoint_minutes
    epoch = step * EPOCH / batch
    parts = line / step, saved / (60 * minutes), (saved + best) / epoch
    print(
        f"step {1e3 * step:.0f} ms ({batch} crops of {crop}), journal line {1e6 * line:.0f} us, checkpoint "
        f"{1e3 * saved:.0f} ms, selected weights {1e3 * best:.0f} ms: journal {parts[0]:.3%} + every {minutes:g} min "
        f"{parts[1]:.3%} + after an epoch of {EPOCH:,} images {parts[2]:.3%} = {sum(parts):.3%} of the time"
    )
    return sum(parts)


def rate(points: int, folder: Path) -> float:
    """Metrics a second from the first line of a journal to the last row in a server's database."""
    with Tracking(folder, dict(os.environ)) as server:
        os.environ["MLFLOW_TRACKING_URI"] = server.address
        run = tracking.open_run("finetune", folder / "shipped", name="rate", params={}, tags={})
        with run:
            began = time.perf_counter()
            for step in range(points // ENTRY):
                run.metrics({f"value_{n}": step + n / ENTRY for n in range(ENTRY)}, step)
            written = time.perf_counter() - began
        seconds = time.perf_counter() - began
        arrived = len(tracking.history(run.run_id, "value_0"))
    assert arrived == points // ENTRY, f"{arrived} of {points // ENTRY} steps arrived"
    print(
        f"{points} metrics: {written:.2f} s to write, {seconds:.1f} s until all were in the server's database, its "
        f"artifacts and its end too: {points / seconds:.0f} a second"
    )
    return points / seconds


def main() -> int:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8, help="crops of a step")
    parser.add_argument("--crop", type=int, default=224, help="pixels")
    parser.add_argument("--steps", type=int, default=6, help="that are timed")
    parser.add_argument("--points", type=int, default=20_000, help="metrics to ship")
    given = parser.parse_args()
    machine.threads(1)
    with tempfile.TemporaryDirectory(prefix="iqa-tracking-cost-") as place:
        cost = share(given.batch, given.crop, given.steps, Path(place))
        speed = rate(given.points, Path(place))
    return int(cost > MOST or speed < LEAST)


if __name__ == "__main__":
    raise SystemExit(main())
