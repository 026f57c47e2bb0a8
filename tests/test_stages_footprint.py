"""How much memory a training step takes, without taking it."""

import pytest
import torch

from iqa import config
from iqa.randomness import seed_masks
from iqa.stages import finetune, footprint

SMALL = {"crops.size": "32"}


def told(stage="finetune", **values):
    return config.load(stage, {name.replace("__", "."): value for name, value in values.items()}, "smoke")


def test_what_is_counted_without_memory_is_what_autograd_keeps_with_it():
    small = told(crops__size="32", model__weights="bundled")
    model = finetune.build(small).train()
    seed_masks(model, range(2))
    real = footprint.kept(model, torch.rand(2, 3, 32, 32))
    with torch.device("meta"):
        counted, *_ = footprint._finetuned(small)
        assert footprint.kept(counted, torch.empty(2, 3, 32, 32)) == pytest.approx(real, rel=0.1)


def test_the_weights_count_four_times_and_images_by_their_area():
    fixed, small = footprint.bytes_needed(told(crops__size="32"))
    same, large = footprint.bytes_needed(told(crops__size="64"))
    assert fixed == same > 4 * 4 * 3_000_000 and large == pytest.approx(4 * small, rel=0.35) and large > 2 * small


def test_an_image_of_pretraining_is_two_crops_at_every_level():
    _, three = footprint.bytes_needed(told("pretrain", degrade__crop="32", degrade__levels="3"))
    _, six = footprint.bytes_needed(told("pretrain", degrade__crop="32", degrade__levels="6"))
    assert six == pytest.approx(2 * three, rel=0.02)


def test_computing_blocks_again_keeps_less():
    _, all_kept = footprint.bytes_needed(told(crops__size="64"))
    _, some = footprint.bytes_needed(told(crops__size="64", compute__recompute="true"))
    assert some < 0.7 * all_kept


def test_what_fits_is_what_is_left_beside_the_model():
    about = told(crops__size="32")
    fixed, each = footprint.bytes_needed(about)
    assert footprint.fitting(about, fixed + 3 * each) == 3 and footprint.fitting(about, fixed - 1) == 0
