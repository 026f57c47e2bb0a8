"""Spearman by midranks, its influence, and one model's interval."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from iqa.statistics import interval, srcc_influence
from iqa.statistics.ranks import checked, ordered, per_unit, spearman_rows


@pytest.fixture(params=[9, 0], ids=["untied", "tied"])
def data(request):
    random = np.random.default_rng(3)
    scores = random.normal(size=70)
    predictions = scores + random.normal(size=(4, 70))
    return predictions.round(request.param), scores.round(request.param)


def test_the_rows_agree_with_scipy(data):
    predictions, scores = data
    found, _ = spearman_rows(predictions, scores)
    assert found == pytest.approx([spearmanr(row, scores).statistic for row in predictions], abs=1e-13)


def test_the_mid_distribution_is_scipys_midrank(data):
    assert ordered(data[0]).cdf == pytest.approx((rankdata(data[0], axis=1) - 0.5) / 70)


def weighted_spearman(x, y, weights):
    """The definition, by plain comparison of all pairs."""
    w = weights / weights.sum()
    cdf = [((v[None] < v[:, None]) + 0.5 * (v[None] == v[:, None])) @ w for v in (x, y)]
    f, g = (c - w @ c for c in cdf)
    return w @ (f * g) / math.sqrt((w @ f**2) * (w @ g**2))


def test_the_influence_is_the_derivative_towards_each_image(data):
    x, y = data[0][0], data[1]
    n, step = len(x), 1e-5
    base = np.full(n, 1 / n)
    influence = srcc_influence(x, y)
    for i in range(0, n, 7):
        towards = np.eye(n)[i] - base
        up, down = (weighted_spearman(x, y, base + sign * step * towards) for sign in (1, -1))
        assert influence[i] == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_the_influence_without_ties_is_the_published_formula():
    random = np.random.default_rng(8)
    x, y = random.normal(size=(2, 2000)) + random.normal(size=2000)
    f, g = ((rankdata(v) - 0.5) / 2000 for v in (x, y))
    above_y = np.array([f[y > v].mean() * np.mean(y > v) if (y > v).any() else 0.0 for v in y])
    above_x = np.array([g[x > v].mean() * np.mean(x > v) if (x > v).any() else 0.0 for v in x])
    published = -3 * spearmanr(x, y).statistic - 9 + 12 * (f * g + above_y + above_x)
    assert srcc_influence(x, y) == pytest.approx(published, abs=0.01)


def test_the_influence_agrees_with_the_jackknife(data):
    x, y = data[0][1], data[1]
    full = spearmanr(x, y).statistic
    left_out = np.array([spearmanr(np.delete(x, i), np.delete(y, i)).statistic for i in range(len(x))])
    jackknife = (len(x) - 1) * (full - left_out)
    influence = srcc_influence(x, y)
    assert np.corrcoef(jackknife, influence)[0, 1] > 0.999
    assert influence.var() == pytest.approx(jackknife.var(), rel=0.06)


def test_influences_sum_to_zero_and_ignore_monotone_transforms(data):
    influence = srcc_influence(data[0][0], data[1])
    assert influence.sum() == pytest.approx(0, abs=1e-10)
    assert srcc_influence(np.exp(data[0][0]), data[1] * 2 - 1) == pytest.approx(influence, abs=1e-12)


def test_reordering_the_images_reorders_the_influences(data):
    order = np.random.default_rng(0).permutation(70)
    assert srcc_influence(data[0][0][order], data[1][order]) == pytest.approx(
        srcc_influence(data[0][0], data[1])[order]
    )


def test_constants_have_neither_correlation_nor_influence():
    for n in range(1, 200):
        line, constant = np.arange(float(n)), np.full(n, 0.1)
        for x, y in ((constant, line), (line, constant)):
            assert np.isnan(srcc_influence(x, y)).all()
            assert math.isnan(spearman_rows(x[None], y)[0][0])


def test_units_sum_their_images_and_keep_the_mean():
    codes = np.array([0, 0, 1, 2, 2, 2])
    influence = np.array([[1.0, 2, 3, 4, 5, -6]])
    assert per_unit(influence, codes) == pytest.approx(np.array([[3, 3, 3]]) * 3 / 6)
    assert per_unit(influence, codes).mean() == pytest.approx(influence.mean())


def test_the_interval_covers_as_it_says():
    random = np.random.default_rng(12)
    rho = 6 / math.pi * math.asin(0.9 / 2)  # of a normal pair with correlation .9
    hits = 0
    for _ in range(400):
        x, y = random.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], size=150).T
        low, high = interval(x, y)
        hits += low < rho < high
    assert 0.92 < hits / 400 < 0.98


def test_images_of_one_source_count_as_one():
    random = np.random.default_rng(4)
    x, y = np.repeat(random.normal(size=(2, 30)) + random.normal(size=30), 10, axis=1)
    x = x + 1e-6 * random.normal(size=300)
    clustered, naive = interval(x, y, np.repeat(np.arange(30), 10)), interval(x, y)
    assert clustered[1] - clustered[0] > 2.5 * (naive[1] - naive[0])  # about sqrt(10)


def test_the_interval_stays_inside_its_range_and_around_its_value(data):
    low, high = interval(data[0][0], data[1])
    assert -1 < low < spearmanr(data[0][0], data[1]).statistic < high < 1


@pytest.mark.parametrize(
    ("x", "units"), [([1, 1, 1, 1], None), ([1, 2, 3, 4], None), ([2, 1, 3, 4], ["a"] * 4)], ids=str
)
def test_an_interval_that_cannot_be_known_is_nan(x, units):
    assert all(math.isnan(end) for end in interval(x, [1, 2, 3, 4], units))


def test_misfits_are_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        srcc_influence([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="1 of 3 predictions"):
        srcc_influence([1, math.nan, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="does not fit 3 images"):
        interval([1, 2, 3], [1, 2, 3], ["a", "b"])
    with pytest.raises(ValueError, match="do not fit together"):
        checked(np.empty((0, 3)), [1, 2, 3])
