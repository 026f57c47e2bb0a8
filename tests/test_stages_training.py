"""Epochs of a toy: what is saved, and what never is."""

import time
from itertools import repeat

import numpy as np
import pytest
import torch
from PIL import Image

from iqa import checkpoint, distributed, machine, optim, tracking
from iqa.config import Data
from iqa.datasets import DataError
from iqa.stages.state import State
from iqa.stages.training import Course, Diverged, costs, epochs, loaded, paced


def toy():
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 1)
    return State(net, optim.adamw({"all": (net.parameters(), 0.1)}, 0.0))


def trained(state, folder, losses_of, **more):
    """The epochs of two steps each that a run in this folder makes."""
    course = Course(**{"images": 4, "per_epoch": 2, "epochs": 2, "lr_at": lambda step: 1.0, "clip": 0.0} | more)
    source = lambda start: repeat(torch.ones(2, 2))  # noqa: E731
    return [epoch.number for epoch in epochs(state, tracking.Silent(folder), source, losses_of, course)]


@pytest.mark.parametrize("minutes", [0.0, 60.0], ids=["saved each step", "saved each epoch"])
def test_weights_that_one_step_made_no_numbers_are_never_saved_however_finite_the_loss(minutes, tmp_path):
    state = toy()

    def losses_of(batch):
        loss = state.model(batch).square().mean()
        if state.step == 3:  # the last one: its loss is a number, its gradient is not
            loss = loss + (state.model.weight * 0).sqrt().sum()
        yield {"total": loss}

    with pytest.raises(
        Diverged, match=r"A weight stopped.*lower the learning rate.*the last finite checkpoint is kept"
    ):
        trained(state, tmp_path, losses_of, checkpoint_minutes=minutes)
    step, tree = checkpoint.latest(tmp_path / "checkpoints")
    assert step == (3 if minutes == 0 else 2)
    assert all(torch.isfinite(tensor).all() for tensor in tree["weights"].values())


def test_hours_of_gpus_are_those_of_every_process_that_has_one(monkeypatch):
    monkeypatch.setattr(machine, "peak_memory_mb", lambda device: 1.0)
    monkeypatch.setattr(distributed, "world", lambda: 4)
    run = tracking.Silent()
    run.worked_before = 3600.0
    of_gpus = costs(run, time.monotonic() - 1800, torch.device("cuda"))
    assert of_gpus["cost/hours"] == pytest.approx(1.5, abs=0.1)
    assert of_gpus["cost/gpu_hours"] == pytest.approx(4 * of_gpus["cost/hours"])
    assert "cost/gpu_hours" not in costs(run, time.monotonic(), torch.device("cpu"))


def test_a_part_of_which_every_picture_is_smaller_than_the_crop_is_refused_as_such(tmp_path):
    lines = ["image,mos,split"]
    for number, (part, side) in enumerate(
        [("train", 40), ("train", 40), ("validation", 40), ("test", 20), ("test", 20)]
    ):
        pixels = np.full((side, side, 3), 30 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number},{part}")
    (tmp_path / "scores.csv").write_text("\n".join(lines))
    data = Data(name=str(tmp_path), on_bad="skip")
    assert len(loaded(data, 32, "train", "validation")) == 3
    with pytest.raises(DataError, match="every picture of the test part of .* is smaller than a crop of 32: lower the"):
        loaded(data, 32, "train", "test")


def test_an_epoch_that_was_resumed_is_paced_by_the_steps_that_were_made_here():
    course = Course(images=100, per_epoch=10, epochs=1, lr_at=float, clip=0.0, checkpoint_minutes=5.0)
    assert paced(course, 5, 2.0, 0.5) == {"cost/epoch_s": 2.0, "cost/images_per_s": 25.0, "cost/data_wait": 0.25}
