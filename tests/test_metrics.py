"""Metrics: known values, SciPy's, invariances, and what is undefined."""

import math

import numpy as np
import pytest
from scipy import stats

from iqa import metrics

CORRELATIONS = [metrics.srcc, metrics.krcc, metrics.plcc]


@pytest.fixture
def pair():
    random = np.random.default_rng(5)
    scores = random.normal(size=60).round(1)  # rounded: ties in the scores, as opinion scores have
    return scores + 0.5 * random.normal(size=60), scores


def test_a_hand_worked_example():
    predictions, scores = [1, 2, 3, 4, 5], [2, 1, 4, 3, 5]
    assert metrics.srcc(predictions, scores) == pytest.approx(1 - 6 * 4 / (5 * 24))  # squared rank errors: 1+1+1+1+0
    assert metrics.krcc(predictions, scores) == pytest.approx((8 - 2) / 10)  # two of ten pairs are turned
    assert metrics.plcc(predictions, scores) == pytest.approx(0.8)
    assert metrics.rmse(predictions, scores) == pytest.approx(math.sqrt(4 / 5))


def test_ties_are_handled_as_scipy_does(pair):
    predictions, scores = pair[0].round(0), pair[1]
    assert metrics.srcc(predictions, scores) == pytest.approx(stats.spearmanr(predictions, scores).statistic)
    assert metrics.krcc(predictions, scores) == pytest.approx(stats.kendalltau(predictions, scores).statistic)
    assert metrics.plcc(predictions, scores) == pytest.approx(stats.pearsonr(predictions, scores).statistic)


@pytest.mark.parametrize("metric", [metrics.srcc, metrics.krcc])
def test_rank_metrics_ignore_monotone_transforms_and_turn_with_the_sign(metric, pair):
    predictions, scores = pair
    assert metric(np.exp(3 * predictions), scores**3) == pytest.approx(metric(predictions, scores), abs=1e-12)
    assert metric(-predictions, scores) == pytest.approx(-metric(predictions, scores), abs=1e-12)


@pytest.mark.parametrize("metric", [*CORRELATIONS, metrics.rmse])
def test_the_order_of_the_images_does_not_matter(metric, pair):
    order = np.random.default_rng(1).permutation(60)
    assert metric(pair[0][order], pair[1][order]) == pytest.approx(metric(*pair), abs=1e-12)


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_a_perfect_order_is_one_and_its_reverse_minus_one(metric):
    line = np.arange(9.0)
    assert metric(line, 2 * line + 1) == pytest.approx(1)
    assert metric(-line, line) == pytest.approx(-1)


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize(
    ("predictions", "scores", "word"),
    [
        ([0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4], "predictions are 0.5"),
        ([1, 2, 3, 4], [2, 2, 2, 2], "scores are 2"),
        ([1.0, 1.0 + 1e-15, 1.0, 1.0], [1, 2, 3, 4], "constant"),
        ([1, 2], [1, 2], "at least 3"),
        ([], [], "there are 0"),
    ],
)
def test_what_cannot_be_computed_is_nan_with_a_sentence_and_never_zero(metric, predictions, scores, word):
    assert math.isnan(metric(predictions, scores))
    assert word in metrics.undefined(predictions, scores)
    assert math.isnan(metrics.plcc_logistic(predictions, scores).value)


def test_defined_metrics_have_no_sentence(pair):
    assert metrics.undefined(*pair) == ""


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused_and_located(bad):
    with pytest.raises(ValueError, match="1 of 4 predictions .* position 2"):
        metrics.srcc([1, 2, bad, 4], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="1 of 4 scores"):
        metrics.summary([1, 2, 3, 4], [1, bad, 3, 4])


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"\(3,\) and \(4,\)"):
        metrics.plcc([1, 2, 3], [1, 2, 3, 4])


def test_the_logistic_finds_its_own_curve_in_any_unit():
    x = np.linspace(-300, 700, 80)
    fit = metrics.plcc_logistic(x, metrics.logistic(x, 90.0, 10.0, 200.0, 80.0))
    assert fit.converged and not fit.inverted
    assert fit.value == pytest.approx(1)
    assert fit.parameters == pytest.approx((90, 10, 200, 80), rel=1e-4)


def test_the_logistic_is_not_worse_than_the_raw_correlation_on_a_bent_relation(pair):
    bent = np.exp(2 * pair[0])
    assert metrics.plcc_logistic(bent, pair[1]).value > metrics.plcc(bent, pair[1]) + 0.1


def test_a_fit_that_hides_an_inversion_says_so(pair):
    fit = metrics.plcc_logistic(-pair[0], pair[1])
    assert metrics.plcc(-pair[0], pair[1]) < 0 < fit.value
    assert fit.inverted and not metrics.plcc_logistic(*pair).inverted


def test_a_step_leaves_the_slope_undetermined_and_the_flag_says_so():
    x = np.repeat([0.0, 1.0], 20)
    fit = metrics.plcc_logistic(x, x)
    assert fit.value == pytest.approx(1) and not fit.converged


def test_a_search_that_does_not_end_has_no_value(pair, monkeypatch):
    monkeypatch.setattr(metrics, "_CALLS", 6)
    fit = metrics.plcc_logistic(*pair)
    assert math.isnan(fit.value) and not fit.converged and fit.parameters == ()


def test_four_points_are_too_few_for_four_parameters():
    fit = metrics.plcc_logistic([1, 2, 3, 4], [1, 3, 2, 4])
    assert math.isnan(fit.value) and not fit.converged


def test_the_summary_holds_every_metric_by_its_name(pair):
    found = metrics.summary(*pair)
    assert list(found) == ["srcc", "krcc", "plcc", "plcc_logistic", "rmse", "n"]
    assert found["n"] == 60 and found["srcc"] == metrics.srcc(*pair) and found["rmse"] == metrics.rmse(*pair)
    assert found["plcc_logistic"] == metrics.plcc_logistic(*pair).value


def test_the_summary_of_constant_predictions_keeps_the_error():
    found = metrics.summary([0.5] * 4, [0.25, 0.75, 0.5, 0.5])
    assert math.isnan(found["srcc"]) and math.isnan(found["plcc_logistic"])
    assert found["rmse"] == pytest.approx(math.sqrt(0.125 / 4))


def test_the_farthest_off_are_the_largest_errors_first_and_no_more_than_sixteen():
    assert metrics.farthest_off(np.arange(40) / 40, np.zeros(40)) == list(range(39, 23, -1))
    assert metrics.farthest_off([0.5, -0.5, 0.9], [0, 0, 0]) == [2, 0, 1]
