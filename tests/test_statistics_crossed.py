"""The contrast that decides: components, macro means, paired t, re-splits, and what is undefined."""

import math

import numpy as np
import pytest
from scipy import stats

from iqa.statistics import crossed, macro, nadeau_bengio, paired_t, srcc_influence
from iqa.statistics.crossed import satterthwaite, total_variance


def toy(pairs=4, n=30, seed=0, gain=0.3):
    """Treatment and baseline (S, n), scores (n,), and units of uneven size (n,)."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=n)
    shared = random.normal(size=n)
    arms = [scores + scale * (shared + random.normal(size=(pairs, n))) for scale in (0.7 - gain / 2, 0.7)]
    return *arms, scores, np.array(["abcdefghij"[k] for k in random.integers(0, 10, n)])


def plain(treatment, baseline, scores, units):
    """The formulae of the verdict, one number at a time."""
    pairs, n, names = len(treatment), len(scores), sorted(set(units))
    count = len(names)
    u = [[0.0] * count for _ in range(pairs)]
    per_seed = []
    for s in range(pairs):
        influence = srcc_influence(treatment[s], scores) - srcc_influence(baseline[s], scores)
        for i in range(n):
            u[s][names.index(units[i])] += influence[i] * count / n
        rho = [stats.spearmanr(arm[s], scores).statistic for arm in (treatment, baseline)]
        per_seed.append(rho[0] - rho[1])
    delta = sum(per_seed) / pairs
    v_s = sum((d - delta) ** 2 for d in per_seed) / (pairs - 1) / pairs
    by_unit = [sum(u[s][i] for s in range(pairs)) / pairs for i in range(count)]
    by_seed = [sum(u[s]) / count for s in range(pairs)]
    mean = sum(by_unit) / count
    v_i = sum((v - mean) ** 2 for v in by_unit) / (count - 1) / count
    square = sum((u[s][i] - by_unit[i] - by_seed[s] + mean) ** 2 for s in range(pairs) for i in range(count))
    v_e = square / ((pairs - 1) * (count - 1)) / (pairs * count)
    v = max(v_s + v_i - v_e, v_s, v_i)
    df = v**2 / (v_s**2 / (pairs - 1) + v_i**2 / (count - 1))
    half = stats.t.ppf(0.975, df) * math.sqrt(v)
    p = 2 * stats.t.sf(abs(delta) / math.sqrt(v), df)
    return delta, delta - half, delta + half, p, df, v_s, v_i, v_e


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("digits", [9, 0], ids=["untied", "tied"])
def test_the_components_are_those_of_a_plain_loop(seed, digits):
    t, b, y, units = toy(seed=seed)
    data = (t.round(digits), b.round(digits), y.round(digits), units)
    c = crossed(*data)
    found = (c.delta, c.low, c.high, c.p, c.df, c.V_s, c.V_i, c.V_e)
    assert found == pytest.approx(plain(*data), rel=1e-9)
    assert (c.S, c.N, c.why) == (4, len(set(units)), "")


def test_units_default_to_the_images():
    t, b, y, _ = toy()
    assert crossed(t, b, y) == crossed(t, b, y, np.arange(30))


def test_a_hand_worked_contrast():
    y = [1, 2, 3, 4]
    c = crossed([[1, 2, 3, 4], [1, 2, 4, 3]], [[2, 1, 4, 3], [2, 1, 4, 3]], y)
    assert c.per_seed == pytest.approx((1 - 0.6, 0.8 - 0.6))  # squared rank errors 0, 2 against 4: 1 - 6·d/60
    assert c.delta == pytest.approx(0.3)
    assert c.V_s == pytest.approx(0.02 / 2)  # variance of .4 and .2 is .02


@pytest.mark.parametrize(
    ("components", "total"), [((3, 4, 1), 6), ((3, 1, 2), 3), ((1, 4, 2), 4), ((math.nan, 4, math.nan), 4)]
)
def test_the_interaction_is_taken_out_once_and_never_more(components, total):
    assert total_variance(*components) == total


def test_satterthwaite_is_the_seeds_df_if_seeds_dominate_and_the_units_if_they_do():
    assert satterthwaite(2.0, 2.0, 6, [(0.0, 100)]) == pytest.approx(5)
    assert satterthwaite(2.0, 0.0, 6, [(2.0, 100)]) == pytest.approx(99)
    assert satterthwaite(3.0, 1.0, 6, [(1.0, 11), (1.0, 21)]) == pytest.approx(9 / (1 / 5 + 1 / 10 + 1 / 20))


def test_exchanging_the_arms_turns_the_interval_around():
    t, b, y, units = toy()
    c, turned = crossed(t, b, y, units), crossed(b, t, y, units)
    assert (turned.delta, turned.low, turned.high, turned.p) == pytest.approx((-c.delta, -c.high, -c.low, c.p))


def test_nothing_depends_on_the_order_of_images_pairs_or_the_names_of_units():
    t, b, y, units = toy()
    c = crossed(t, b, y, units)
    images, pairs = np.random.default_rng(1).permutation(30), [2, 0, 3, 1]
    names = np.array(["unit " + chr(200 - ord(name)) for name in units])
    again = crossed(t[pairs][:, images], b[pairs][:, images], y[images], names[images])
    assert (again.low, again.high, again.V_e) == pytest.approx((c.low, c.high, c.V_e))


def test_monotone_transforms_of_scores_and_predictions_change_nothing():
    t, b, y, units = toy()
    again, c = crossed(np.exp(t), 5 * b - 2, y**3, units), crossed(t, b, y, units)
    assert (again.delta, again.p) == pytest.approx((c.delta, c.p))


def test_every_image_twice_in_one_unit_is_no_evidence():
    t, b, y, _ = toy()
    once = crossed(t, b, y)
    twice = crossed(*(np.repeat(a, 2, axis=-1) for a in (t, b, y)), np.repeat(np.arange(30), 2))
    assert (twice.delta, twice.V_i, twice.N) == pytest.approx((once.delta, once.V_i, 30), rel=1e-6)


def test_equal_arms_differ_by_nothing_with_certainty():
    t, _, y, units = toy()
    c = crossed(t, t, y, units)
    assert (c.delta, c.low, c.high, c.p) == (0, 0, 0, 1) and "do not differ" in c.why


def test_one_pair_has_an_interval_over_units_and_says_that():
    t, b, y, units = toy(pairs=1)
    c = crossed(t[0], b[0], y, units)
    assert c.S == 1 and math.isnan(c.V_s) and c.df == pytest.approx(c.N - 1)
    assert c.low < c.delta < c.high and "says nothing about other seeds" in c.why


def test_one_unit_has_no_interval():
    t, b, y, _ = toy()
    c = crossed(t, b, y, ["a"] * 30)
    assert math.isnan(c.low) and math.isnan(c.p) and not math.isnan(c.delta) and "no interval" in c.why


def test_one_constant_run_leaves_the_contrast_undefined_with_the_reason():
    t, b, y, units = toy()
    t[2] = 0.5
    c = crossed(t, b, y, units)
    assert math.isnan(c.delta) and math.isnan(c.p) and "1 of 4 pairs" in c.why
    assert math.isnan(macro([c, crossed(b, b, y, units)]).delta)


def test_perfect_against_reversed_in_every_pair_has_no_spread_to_judge_by():
    line = np.arange(6.0)
    c = crossed([line] * 3, [-line] * 3, line)
    assert c.delta == pytest.approx(2) and math.isnan(c.p) and "do not vary" in c.why


def test_unpaired_runs_are_refused():
    t, b, y, _ = toy()
    with pytest.raises(ValueError, match="4 treatment runs .* 3 baseline"):
        crossed(t, b[:3], y)


def test_a_macro_mean_shares_seeds_and_adds_units():
    sets = [crossed(*toy(n=n, seed=n)) for n in (30, 50, 80)]
    c = macro(sets)
    per_seed = np.mean([s.per_seed for s in sets], axis=0)
    v_s, v_i, v_e = per_seed.var(ddof=1) / 4, sum(s.V_i for s in sets) / 9, sum(s.V_e for s in sets) / 9
    v = max(v_s + v_i - v_e, v_s, v_i)
    df = v**2 / (v_s**2 / 3 + sum((s.V_i / 9) ** 2 / (s.N - 1) for s in sets))
    assert c.per_seed == pytest.approx(per_seed) and c.delta == pytest.approx(per_seed.mean())
    assert (c.V_s, c.V_i, c.V_e, c.variance, c.df) == pytest.approx((v_s, v_i, v_e, v, df))
    assert c.high - c.delta == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(v))
    assert (c.parts, c.N) == (tuple(sets), sum(s.N for s in sets))


def test_the_macro_mean_of_one_set_is_that_set():
    one = crossed(*toy())
    assert macro([one]).p == pytest.approx(one.p) and macro([one]).df == pytest.approx(one.df)


def test_sets_with_different_seeds_have_no_macro_mean():
    with pytest.raises(ValueError, match=r"\[3, 4\]"):
        macro([crossed(*toy(pairs=4)), crossed(*toy(pairs=3))])
    with pytest.raises(ValueError, match="at least one set"):
        macro([])


def test_paired_t_is_scipys():
    differences = [0.01, 0.03, -0.02, 0.05, 0.02]
    c, theirs = paired_t(differences), stats.ttest_1samp(differences, 0)
    ends = theirs.confidence_interval()
    assert (c.p, c.df, c.low, c.high) == pytest.approx((theirs.pvalue, 4, ends.low, ends.high))


def test_a_single_difference_has_no_interval():
    c = paired_t([0.1])
    assert math.isnan(c.p) and math.isnan(c.low) and c.delta == 0.1 and "no interval" in c.why
    assert math.isnan(paired_t([0.0]).p)


def test_resplits_widen_the_interval_by_nadeau_and_bengio():
    differences = np.array([0.01, 0.03, -0.02, 0.05, 0.02, 0.0, 0.04, 0.01, 0.02, 0.03])
    c = nadeau_bengio(differences, n_train=80, n_test=20)
    variance = (1 / 10 + 1 / 4) * differences.var(ddof=1)
    assert c.variance == pytest.approx(variance) and c.df == pytest.approx(9)
    assert c.p == pytest.approx(2 * stats.t.sf(abs(differences.mean()) / math.sqrt(variance), 9))
    assert c.high - c.low > paired_t(differences).high - paired_t(differences).low


@pytest.mark.parametrize("bad", [[], [math.nan, 1.0], [[1.0, 2.0]]])
def test_differences_that_are_no_list_of_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="finite numbers"):
        paired_t(bad)
    with pytest.raises(ValueError, match="training and test images"):
        nadeau_bengio([0.1, 0.2], 0, 20)
