"""The crossed bootstrap: exact by repetition, and beside the interval that decides."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from iqa.statistics import crossed, crossed_bootstrap, macro_bootstrap
from iqa.statistics.bootstrap import _differences, _Ranks, _weights


def toy(pairs=6, n=80, seed=0, digits=9):
    random = np.random.default_rng(seed)
    scores, shared = random.normal(size=(2, n))
    arms = [scores + scale * shared + 0.4 * random.normal(size=(pairs, n)) for scale in (0.3, 0.6)]
    return arms[0].round(digits), arms[1].round(digits), scores.round(digits)


@pytest.mark.parametrize("digits", [9, 0], ids=["untied", "tied"])
def test_a_weight_is_as_good_as_repeating_the_image(digits):
    t, b, y = toy(pairs=2, digits=digits)
    random = np.random.default_rng(1)
    ranks = [_Ranks(row) for row in [y, *t, *b]]
    weights = _weights(random.integers(0, 12, 80), 5, random)
    found = _differences(ranks, weights, np.array([[1, 1], [0, 2], [2, 0], [1, 1], [1, 1]]))
    for row, pairs in enumerate([(0, 1), (1,), (0,), (0, 1), (0, 1)]):
        images = np.repeat(np.arange(80), weights[row].astype(int))
        rho = [[spearmanr(arm[s][images], y[images]).statistic for s in pairs] for arm in (t, b)]
        assert found[row] == pytest.approx(np.mean(np.subtract(*rho)), abs=1e-12)


def test_a_tied_arm_compares_with_an_untied_one():
    t, b, y = toy(pairs=1)
    ranks = [_Ranks(row) for row in (y, t[0], b[0].round(0))]
    weights = _weights(np.arange(80), 1, np.random.default_rng(2))
    images = np.repeat(np.arange(80), weights[0].astype(int))
    rho = [spearmanr(row[images], y[images]).statistic for row in (t[0], b[0].round(0))]
    assert _differences(ranks, weights, np.array([[1]]))[0] == pytest.approx(rho[0] - rho[1], abs=1e-12)


def test_units_are_drawn_whole_and_as_many_as_there_are():
    codes = np.repeat([0, 1, 2], [2, 3, 1])
    weights = _weights(codes, 50, np.random.default_rng(0))
    by_unit = weights[:, [0, 2, 5]]
    assert (weights == by_unit[:, codes]).all()
    assert (by_unit.sum(axis=1) == 3).all() and by_unit.min() == 0


def test_units_and_pairs_are_drawn_about_equally_often():
    weights = _weights(np.arange(10), 4000, np.random.default_rng(0))
    assert weights.mean(axis=0) == pytest.approx(np.ones(10), abs=0.06)
    assert weights.var() == pytest.approx(0.9, abs=0.03)  # multinomial: 1 - 1/N


def test_it_agrees_with_the_crossed_interval_where_images_dominate():
    t, b, y = toy(n=300)
    c, boot = crossed(t, b, y), crossed_bootstrap(t, b, y, resamples=800)
    assert boot.draws.mean() == pytest.approx(c.delta, abs=0.01)
    assert boot.high - boot.low == pytest.approx(c.high - c.low, rel=0.25)
    assert boot.undefined == 0 and boot.low < c.delta < boot.high


def test_the_same_seed_draws_the_same_and_another_name_other_units():
    t, b, y = toy()
    first, again, other = (crossed_bootstrap(t, b, y, resamples=50, name=name).draws for name in ("a", "a", "b"))
    assert (first == again).all() and (first != other).any()


def test_sets_of_one_seed_share_their_seed_draws():
    t, b, y = toy()
    only_seeds = np.repeat("one unit", 80)  # a single unit: seeds alone vary
    draws = [crossed_bootstrap(t, b, y, only_seeds, resamples=50, name=name).draws for name in ("a", "b")]
    assert (draws[0] == draws[1]).all() and len(set(draws[0])) > 10


def test_the_macro_mean_averages_the_draws():
    sets = [crossed_bootstrap(*toy(seed=k), resamples=60, name=str(k)) for k in range(3)]
    mean = macro_bootstrap(sets)
    assert mean.draws == pytest.approx(np.mean([s.draws for s in sets], axis=0))
    assert (mean.low, mean.high) == pytest.approx(tuple(np.quantile(mean.draws, (0.025, 0.975))))


def test_resamples_without_any_order_are_counted_and_left_out():
    t, b, y = toy(pairs=2, n=3)
    boot = crossed_bootstrap(t, b, y, resamples=300)
    assert 0 < boot.undefined < 300 and np.isnan(boot.draws).sum() == boot.undefined
    assert -2 <= boot.low <= boot.high <= 2


@pytest.mark.parametrize(("t", "y"), [([1, 1, 1], [1, 2, 3]), ([1, 3, 2], [1, 1, 1])], ids=["model", "scores"])
def test_constants_leave_nothing(t, y):
    boot = crossed_bootstrap([t], [[1, 2, 3]], y, resamples=20)
    assert boot.undefined == 20 and math.isnan(boot.low)


def test_unpaired_runs_and_unequal_draws_are_refused():
    t, b, y = toy()
    with pytest.raises(ValueError, match="6 and 5 runs"):
        crossed_bootstrap(t, b[:5], y)
    with pytest.raises(ValueError, match="same number of resamples"):
        macro_bootstrap([crossed_bootstrap(t, b, y, resamples=k) for k in (5, 6)])
