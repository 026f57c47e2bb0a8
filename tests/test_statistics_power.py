"""Power and the smallest detectable difference."""

import math

import numpy as np
import pytest
from scipy import stats

from iqa.statistics import ASSUMED, Plan, Spread, crossed, minimum_detectable, planned, power, spread_of


def test_the_plan_is_the_expectation_of_the_components():
    plan = planned([Spread(0.01, 0.1, 0.2)], [400], pairs=8)
    e = 0.2**2 / (8 * 400)
    v_s, v_i = 0.01**2 / 8 + e, 0.1**2 / 400 + e
    assert plan.variance == pytest.approx(v_s + v_i - e)
    assert plan.df == pytest.approx(plan.variance**2 / (v_s**2 / 7 + v_i**2 / 399))


def test_several_sets_share_the_seeds_and_not_the_units():
    one = planned([Spread(0.01, 0.0, 0.0)], [100], 6)
    assert planned([Spread(0.01, 0.0, 0.0)] * 3, [100] * 3, 6).variance == pytest.approx(one.variance)
    units = Spread(0.0, 0.1, 0.0)
    assert planned([units] * 3, [100] * 3, 6).variance == pytest.approx(planned([units], [100], 6).variance / 3)


def test_power_agrees_with_drawing():
    plan = Plan(variance=1e-4, df=7.0)
    random = np.random.default_rng(0)
    t = (0.03 + 0.01 * random.normal(size=100_000)) / (0.01 * np.sqrt(random.chisquare(7, 100_000) / 7))
    assert power(0.03, plan) == pytest.approx(np.mean(np.abs(t) > stats.t.ppf(0.975, 7)), abs=0.006)


def test_power_is_alpha_at_nothing_and_grows_with_difference_pairs_and_images():
    spread = [Spread(0.004, 0.08, 0.1)]
    plan = planned(spread, [500], 4)
    assert power(0.0, plan) == pytest.approx(0.05)
    assert power(0.002, plan) < power(0.01, plan) == power(-0.01, plan) <= 1
    assert power(0.01, plan, alpha=0.0125) < power(0.01, plan)
    assert power(0.01, plan) < power(0.01, planned(spread, [500], 8))
    assert power(0.01, plan) < power(0.01, planned(spread, [5000], 4))


def test_the_smallest_detectable_difference_has_the_wanted_power():
    plan = planned([Spread(0.004, 0.08, 0.1)] * 2, [500, 300], 6)
    found = minimum_detectable(plan, alpha=0.0125, wanted=0.9)
    assert power(found, plan, alpha=0.0125) == pytest.approx(0.9, abs=1e-4)
    assert found > minimum_detectable(plan)


def test_a_large_difference_is_found_for_certain():
    assert power(1.0, Plan(1e-6, 3.0)) == pytest.approx(1)


def test_without_any_spread_everything_is_found():
    plan = planned([Spread(0, 0, 0)], [10], 3)
    assert plan.variance == 0 and minimum_detectable(plan) == 0 and power(0.1, plan) == 1


def test_a_finished_contrast_tells_its_spreads():
    random = np.random.default_rng(1)
    n, pairs = 2000, 40
    scores, shared = random.normal(size=(2, n))
    amount = 0.5 + 0.1 * random.normal(size=(pairs, 1))
    t = scores + amount * (shared + random.normal(size=(pairs, n)))
    c = crossed(t, scores + 0.5 * (shared + random.normal(size=(pairs, n))), scores)
    spread = spread_of(c)
    assert spread.seeds == pytest.approx(np.std(c.per_seed, ddof=1), rel=0.1)
    assert planned([spread], [n], pairs).variance == pytest.approx(c.variance, rel=1e-6)


def test_impossible_plans_are_refused():
    for spreads, units, pairs in (([], [], 8), ([Spread(1, 1, 1)], [10], 1), ([Spread(1, 1, 1)], [1], 8)):
        with pytest.raises(ValueError, match="two seed pairs"):
            planned(spreads, units, pairs)
    with pytest.raises(ValueError, match="wanted power"):
        minimum_detectable(Plan(1.0, 5.0), wanted=1.0)
    with pytest.raises(ValueError, match="one set"):
        spread_of(crossed([[1, 2, 3]], [[1, 3, 2]], [1, 2, 3]))


def test_the_assumed_units_give_the_half_width_that_they_were_taken_from():
    units_alone = planned([Spread(0.0, ASSUMED.units, 0.0)], [2015], 8)
    assert 1.96 * math.sqrt(units_alone.variance) == pytest.approx(0.0036, abs=2e-5)
