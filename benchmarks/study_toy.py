"""Stages that take no time, for studies: they keep a checkpoint, write down what they compute, and learn nothing.

    python -m benchmarks.study_toy --trials=3     # the study command with these stages, in a process one can kill

Their log is $IQA_TOY_LOG, their epochs take $IQA_TOY_SLEEP seconds.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from iqa import checkpoint, tracking
from iqa.experiment import cells

LOG, SLEEP = "IQA_TOY_LOG", "IQA_TOY_SLEEP"  # where every epoch is written down; seconds that one takes


def note(run: Any, **what: Any) -> None:
    """Append a line to the log, whole."""
    line = json.dumps({"run": run.run_id, "folder": str(run.folder), "pid": os.getpid(), **what}) + "\n"
    with Path(os.environ[LOG]).open("a") as out:
        out.write(line)


def notes() -> list[dict[str, Any]]:
    """What was computed so far, by whichever process."""
    file = Path(os.environ[LOG])
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def value_at(config: Any, epoch: int) -> float:
    """Best at a ratio of 0.1; an epoch adds a little, and so does a seed."""
    return 0.9 - 0.2 * abs(math.log10(config.optim.encoder_lr_ratio) + 1) + 0.001 * epoch + 0.01 * config.seed


def finetune(config: Any, run: Any) -> Iterator[dict[str, float]]:
    """Its epochs, going on where a killed one stopped."""
    kept = run.folder / "toy.json"
    done = json.loads(kept.read_text()) if kept.is_file() else 0
    if config.optim.weight_decay > 1:
        raise ValueError("This weight decay leaves nothing.")
    for epoch in range(done + 1, config.optim.epochs + 1):
        time.sleep(float(os.environ.get(SLEEP, 0)))
        value = value_at(config, epoch)
        note(run, stage="finetune", epoch=epoch, ratio=config.optim.encoder_lr_ratio, fold=config.data.fold)
        record = {"val/srcc": value, "train/loss": 1 / epoch, "test/toy/epoch_srcc": 0.0}
        run.metrics(record, epoch)
        yield record | {"epoch": epoch}
        partial = kept.with_suffix(".partial")
        partial.write_text(str(epoch))
        os.replace(partial, kept)  # a kill amid a write would leave an empty file, and a trial that cannot go on
        if run.stop_requested():
            raise tracking.Stopped(run.stop_requested())
    run.metrics({"best/val_srcc": value_at(config, config.optim.epochs)}, config.optim.epochs)


def pretrain(config: Any, run: Any) -> Iterator[dict[str, float]]:
    """An encoder of one number."""
    note(run, stage="pretrain", families=",".join(config.degrade.families))
    time.sleep(float(os.environ.get(SLEEP, 0)))
    checkpoint.write(run.folder / "encoder", {"x": torch.full((1,), config.loss.m_rank)}, kind="encoder")
    run.artifact(run.folder / "encoder", "encoder")
    yield {"val/ordering": 1.0}


STAGES = {"finetune": finetune, "pretrain": pretrain}

if __name__ in ("__main__", "__mp_main__"):  # the command, or a worker that it has started
    cells.stage_of = STAGES.__getitem__

if __name__ == "__main__":
    from entrypoints import study

    raise SystemExit(study.main(sys.argv[1:]))
