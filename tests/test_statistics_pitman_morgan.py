"""Pitman-Morgan on rank errors, HC3."""

import math

import numpy as np
import pytest
from scipy import stats

from iqa.statistics import crossed, pitman_morgan


def toy(pairs=3, n=120, seed=0):
    random = np.random.default_rng(seed)
    scores, shared = random.normal(size=(2, n))
    arms = [scores + scale * (shared + random.normal(size=(pairs, n))) for scale in (0.3, 0.6)]
    return *arms, scores


def test_it_is_the_textbook_regression_with_hc3():
    t, b, y = toy(pairs=1)
    z = [stats.zscore(stats.rankdata(v)) for v in (t[0], b[0], y)]
    difference, total = z[1] - z[0], z[0] + z[1] - 2 * z[2]
    design = np.stack([np.ones(120), total], axis=1)
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ difference
    leverage = np.einsum("ij,jk,ik->i", design, bread, design)
    adjusted = (difference - design @ beta) / (1 - leverage)
    covariance = bread @ (design.T * adjusted**2) @ design @ bread
    found = pitman_morgan(t, b, y)[0]
    assert (found.slope, found.t) == pytest.approx((beta[1], beta[1] / math.sqrt(covariance[1, 1])))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.t), 118))


def test_the_slope_has_the_sign_of_each_pairs_difference():
    t, b, y = toy(pairs=20, n=25, seed=2)
    b = t + 0.3 * np.random.default_rng(0).normal(size=t.shape)
    signs = [np.sign(found.slope) for found in pitman_morgan(t, b, y)]
    assert signs == [np.sign(round(delta, 12)) for delta in crossed(t, b, y).per_seed]


def test_equal_models_do_not_differ():
    t, _, y = toy()
    assert [(found.slope, found.p) for found in pitman_morgan(t, np.exp(t), y)] == [(0, 1)] * 3


def test_a_true_null_is_rejected_about_as_often_as_asked():
    random = np.random.default_rng(7)
    scores, shared = random.normal(size=(2, 100))
    rejected = 0
    for _ in range(300):
        scores, shared = random.normal(size=(2, 100))
        a, b = scores + 0.4 * (shared + random.normal(size=(2, 100)))
        rejected += pitman_morgan(a, b, scores)[0].p < 0.05
    assert rejected / 300 < 0.09


@pytest.mark.parametrize(
    ("t", "b", "y"),
    [
        ([1, 1, 1, 1], [1, 2, 3, 4], [1, 2, 4, 3]),
        ([1, 2, 3, 4], [1, 2, 4, 3], [1, 1, 1, 1]),
        ([1, 2, 3], [3, 2, 1], [1, 3, 2]),
    ],
    ids=["constant model", "constant scores", "three images"],
)
def test_what_cannot_be_tested_is_nan(t, b, y):
    assert math.isnan(pitman_morgan(t, b, y)[0].p)


def test_a_perfect_model_leaves_no_scatter_to_judge_by():
    assert math.isnan(pitman_morgan([1, 2, 3, 4], [1, 2, 3, 4][::-1], [1, 2, 3, 4])[0].t)


def test_unpaired_runs_are_refused():
    t, b, y = toy()
    with pytest.raises(ValueError, match="3 treatment runs"):
        pitman_morgan(t, b[:2], y)
