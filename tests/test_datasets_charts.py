"""Dead-leaves charts: seeded, full of edges at every size."""

import numpy as np
import torch

from iqa.datasets import charts


def test_a_chart_depends_on_its_purpose_alone():
    first = charts.chart(64, "a", 1)
    assert torch.equal(first, charts.chart(64, "a", 1))
    assert not torch.equal(first, charts.chart(64, "a", 2))
    assert first.dtype == torch.uint8 and first.shape == (3, 64, 64) and first.is_contiguous()


def test_radii_follow_the_inverse_cube():
    """P(R > 2 r) / P(R > r) is a quarter for a density of r^-3, away from the upper end."""
    rng = np.random.default_rng(0)
    _, _, radius = charts._discs(rng, 4000, 2.0, 40.0)
    assert radius.min() >= 2 and radius.max() <= 40
    ratio = (radius > 6).mean() / (radius > 3).mean()
    assert abs(ratio - 0.25) < 0.01


def test_later_discs_cover_earlier_ones_and_are_cut_at_the_border():
    front = charts._front(np.array([4.0, 4, 0]), np.array([4.0, 4, 0]), np.array([9.0, 2, 1]), 9)
    assert front[4, 4] == 1 and front[2, 4] == 1 and front[1, 4] == 0 and front[0, 0] == 2
    assert (front == 1).sum() == 13  # of radius 2: the points of the lattice within it
    assert (front == 2).sum() == 3


def test_nothing_is_left_bare_and_the_range_is_used():
    for i in range(4):
        pixels = charts.chart(128, "cover", i).float()
        assert pixels.std() > 25  # of 255
        assert (pixels[:, 1:] - pixels[:, :-1]).abs().mean() > 5
