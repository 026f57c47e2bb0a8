"""micro_batch=auto: what is measured, what is taken, and that a run keeps to it."""

import copy
import json
import multiprocessing
import os
import signal
import time

import pytest
import torch
from stage_toy import Recorded, StopsAt, done, equal, settings, weights

from iqa import config, machine, tracking
from iqa.experiment import cells
from iqa.stages import finetune, pacing
from iqa.stages.pacing import Pace
from iqa.tracking import signals

CPU = torch.device("cpu")
HALF, QUARTER = Pace(3), Pace(2)


@pytest.fixture(autouse=True)
def in_cache(home):
    """Measurements of this test stay in its own folder."""


@pytest.fixture
def paced(monkeypatch):
    """paced({pace: images/s}) makes the measurement find that, 1 for all others; returns what was measured."""

    def pretend(rates):
        asked = []

        def rate(model, pace, image, device, count):
            asked.append(pace)
            return rates.get(pace, 1.0)

        monkeypatch.setattr(pacing, "rate", rate)
        monkeypatch.setattr(pacing, "apart", pacing.measured)
        return asked

    return pretend


def auto(photos, **more):
    return settings("finetune", photos, compute__micro_batch="auto", **more)


def test_the_fastest_is_measured_once_on_a_device_and_told_by_the_run(photos, paced, tmp_path):
    asked = paced({HALF: 3.0})
    run = Recorded(tmp_path / "run")
    done("finetune", auto(photos, epochs="1"), run)
    assert asked == [Pace(6), HALF, QUARTER, Pace(3, "contiguous")]  # a smaller one would be slower still
    assert run.told["micro_batch"] == "auto: 3 at once, channels_last"
    done("finetune", auto(photos, epochs="1"), tracking.Silent(tmp_path / "again"))
    assert len(asked) == 4
    (kept,) = (tmp_path / "cache" / "pace").glob("*.json")
    assert json.loads(kept.read_text())["pace"] == {"micro_batch": 3, "layout": "channels_last"}


def test_a_measured_micro_batch_gives_the_bits_of_the_same_one_given(photos, paced, tmp_path):
    paced({HALF: 3.0})
    measured = done("finetune", auto(photos, epochs="1"), tracking.Silent(tmp_path / "auto"))[1]
    told = settings("finetune", photos, epochs="1", compute__micro_batch="3")
    given = done("finetune", told, tracking.Silent(tmp_path / "given"))[1]
    assert equal(weights(measured, "model"), weights(given, "model"))


@pytest.mark.parametrize(("name", "kind"), [("pretrain", "encoder"), ("finetune", "model")])
def test_a_stopped_run_goes_on_at_its_own_pace_whatever_is_faster_by_now(name, kind, photos, paced, tmp_path):
    told = settings(name, photos, compute__micro_batch="auto")
    paced({Pace(2, "contiguous"): 4.0, QUARTER: 3.0})
    uninterrupted = done(name, told, tracking.Silent(tmp_path / "whole"))[1]
    with pytest.raises(tracking.Stopped):
        done(name, told, StopsAt(tmp_path / "stopped", 5))
    for kept in (tmp_path / "cache" / "pace").glob("*.json"):
        kept.unlink()
    asked = paced({})
    resumed = done(name, told, tracking.Silent(tmp_path / "stopped"))[1]
    assert asked == [] and equal(weights(uninterrupted, kind), weights(resumed, kind))


def test_of_those_that_are_about_as_fast_the_one_that_needs_least_memory_is_taken():
    assert pacing.fastest({Pace(8): 1.0, Pace(4): 0.96, Pace(2): 0.94}) == Pace(4)
    assert pacing.fastest({Pace(8): 0.94, Pace(4): 1.0, Pace(2): 0.94}) == Pace(4)


def test_the_other_memory_format_has_to_be_clearly_faster():
    other = Pace(4, "contiguous")
    assert pacing.fastest({Pace(4): 1.0, other: 1.04}) == Pace(4)
    assert pacing.fastest({Pace(4): 1.0, other: 1.06}) == other


def test_halves_go_down_to_one():
    assert list(pacing.halved(10)) == [10, 5, 3, 2, 1]
    assert list(pacing.halved(1)) == [1]


def test_what_does_not_fit_into_memory_is_passed_over(photos, monkeypatch):
    model = finetune.build(auto(photos))
    forward = model.forward

    def small(crops):
        if len(crops) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(crops)

    monkeypatch.setattr(model, "forward", small)
    rates = pacing.measured(model, 4, (1, 3, 32, 32), CPU)
    assert rates[Pace(4)] == 0 and pacing.fastest(rates).micro_batch in (1, 2)


def test_where_nothing_fits_a_sentence_says_what_would(photos, paced):
    paced(dict.fromkeys([*map(Pace, (4, 2, 1)), Pace(1, "contiguous")], 0.0))
    with pytest.raises(machine.MachineError, match="Not even one image's backward pass fits .* compute.recompute=true"):
        pacing.measured(finetune.build(auto(photos)), 4, (1, 3, 32, 32), CPU)
    assert "compute.recompute=true" in cells.smaller(auto(photos))


def test_measuring_leaves_the_model_and_the_draws_as_they_were(photos):
    model = finetune.build(auto(photos)).train()
    before, drawn = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    rates = pacing.measured(model, 2, (1, 3, 32, 32), CPU)
    assert min(rates.values()) > 0 and model.training
    assert equal(before, model.state_dict()) and torch.equal(drawn, torch.random.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_measuring_takes_of_memory_is_gone_with_the_process_that_measured(photos):
    model, peak = finetune.build(auto(photos)), machine.peak_memory_mb()
    rates = pacing.apart(model, 64, (1, 3, 96, 96), CPU)
    assert min(rates.values()) > 0 and Pace(64) in rates
    assert machine.peak_memory_mb() < peak + 50


def test_the_death_of_the_process_that_measures_says_what_to_do(photos, monkeypatch):
    monkeypatch.setattr(pacing, "_alone", killed)
    with pytest.raises(machine.MachineError, match="was killed, perhaps .* give compute.micro_batch a number"):
        pacing.apart(finetune.build(auto(photos)), 2, (1, 3, 32, 32), CPU)


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_who_is_asked_to_stop_while_it_measures_ends_that_at_once(photos, monkeypatch):
    monkeypatch.setattr(pacing, "_alone", asleep)
    monkeypatch.setattr(signals, "_asked", signal.SIGTERM)
    began = time.monotonic()
    with pytest.raises(tracking.Stopped):
        pacing.apart(finetune.build(auto(photos)), 2, (1, 3, 32, 32), CPU)
    assert time.monotonic() - began < 30 and not multiprocessing.active_children()


def asleep(*_):
    time.sleep(60)


def test_where_nothing_fits_the_process_that_measures_says_so_here(photos, monkeypatch):
    monkeypatch.setattr(pacing, "_alone", without_memory)
    with pytest.raises(machine.MachineError, match="Not even one image"):
        pacing.apart(finetune.build(auto(photos)), 2, (1, 3, 32, 32), CPU)


def without_memory(told, *_):
    told.send(machine.MachineError("Not even one image's backward pass fits into memory."))


@pytest.mark.parametrize("left", ["", "{}", '{"pace": {"images": 3}}', "[]"])
def test_a_damaged_measurement_is_made_again(left, photos, paced, tmp_path):
    paced({HALF: 3.0})
    told, device = auto(photos), CPU
    assert pacing.known(finetune.build(told), told, device) == HALF
    (file,) = (tmp_path / "cache" / "pace").glob("*.json")
    file.write_text(left)
    assert pacing.known(finetune.build(told), told, device) == HALF
    assert json.loads(file.read_text())["pace"]["micro_batch"] == 3


def test_another_word_than_auto_is_refused():
    with pytest.raises(config.ConfigError, match=r"compute.micro_batch"):
        config.load("finetune", {"compute.micro_batch": "most"}, "smoke")
