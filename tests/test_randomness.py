"""Draws depend on what they are for, and on nothing else."""

import pytest
import torch

from iqa.randomness import SeededDropout, SeededDropPath, generator, seed_masks, sub_seed, uniform


def test_a_seed_depends_on_every_word_of_its_purpose():
    seeds = {sub_seed(0, "crop", 1, 2), sub_seed(0, "crop", 2, 1), sub_seed(1, "crop", 1, 2), sub_seed(0, "flip", 1, 2)}
    assert len(seeds) == 4


def test_words_do_not_run_together():
    assert sub_seed("ab", "c") != sub_seed("a", "bc")


def test_a_seed_is_the_same_on_every_machine():
    assert sub_seed(0, "order", 3) == 2243224229351528686


def test_a_generator_repeats_itself():
    assert torch.equal(torch.rand(5, generator=generator(1, "x")), torch.rand(5, generator=generator(1, "x")))


def test_uniform_rows_depend_on_their_own_seed_only():
    together = uniform(torch.tensor([5, 9, 7]), 64)
    assert torch.equal(together[1], uniform(torch.tensor([9]), 64)[0])


def test_uniform_numbers_fill_the_unit_interval_evenly():
    drawn = uniform(torch.arange(100), 10_000)
    assert drawn.min() >= 0 and drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 2e-3
    assert abs(drawn.var() - 1 / 12) < 2e-3


def test_uniform_rows_of_neighbouring_seeds_are_uncorrelated():
    rows = uniform(torch.arange(20), 20_000)
    correlations = torch.corrcoef(rows) - torch.eye(20)
    assert correlations.abs().max() < 0.04  # 5.6 standard errors of 1/sqrt(20000)


def test_dropout_of_a_split_batch_is_that_of_the_whole():
    layer = SeededDropout(0.3).train()
    x = torch.ones(6, 10)
    seed_masks(layer, range(6))
    whole = layer(x)
    seed_masks(layer, range(3, 6))
    assert torch.equal(whole[3:], layer(x[3:]))


def test_dropout_keeps_the_mean():
    layer = SeededDropout(0.3).train()
    seed_masks(layer, range(1000))
    assert abs(layer(torch.ones(1000, 50)).mean() - 1) < 0.02


def test_dropout_in_evaluation_is_the_identity():
    x = torch.rand(3, 4)
    assert torch.equal(SeededDropout(0.5).eval()(x), x)


def test_two_layers_of_one_model_draw_different_masks():
    model = torch.nn.Sequential(SeededDropout(0.5), SeededDropout(0.5)).train()
    seed_masks(model, range(4))
    assert not torch.equal(model[0](torch.ones(4, 100)), model[1](torch.ones(4, 100)))


def test_drop_path_drops_whole_samples():
    layer = SeededDropPath(0.5).train()
    seed_masks(layer, range(100))
    out = layer(torch.ones(100, 3, 4)).flatten(1)
    assert all(len(row.unique()) == 1 for row in out)
    assert set(out.unique().tolist()) == {0.0, 2.0}


def test_a_dropout_rate_of_one_is_refused():
    with pytest.raises(ValueError, match="lies in"):
        SeededDropout(1.0)
