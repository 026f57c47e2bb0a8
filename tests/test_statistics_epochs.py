"""Epochs until the baseline's level."""

import math

import pytest
from scipy.stats import ttest_rel

from iqa.statistics import epochs_to_target

BASELINE = [[0.5, 0.7, 0.8, 0.9], [0.4, 0.6, 0.85, 0.88]]  # ends at .89 on average: the target is .885


def test_a_hand_worked_example():
    found = epochs_to_target([[0.6, 0.886, 0.9, 0.9], [0.7, 0.8, 0.89, 0.9]], BASELINE, e_max=10)
    assert found.target == pytest.approx(0.885)
    assert (found.treatment, found.baseline) == ((2, 3), (4, 10))  # the second baseline never gets there
    assert (found.missed_treatment, found.missed_baseline) == (0, 1)
    log = math.log
    assert found.contrast.delta == pytest.approx((log(4 / 2) + log(10 / 3)) / 2)
    assert found.contrast.p == pytest.approx(ttest_rel([log(4), log(10)], [log(2), log(3)]).pvalue)
    assert found.ratio == pytest.approx(math.sqrt(2 / 4 * 3 / 10))


def test_reaching_the_target_exactly_counts_and_later_falls_do_not():
    found = epochs_to_target([[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]], e_max=2, tolerance=0)
    assert found.treatment == (1, 1) and found.baseline == (2, 2)


def test_runs_that_stopped_early_without_the_target_stand_at_the_longest():
    found = epochs_to_target([[0.1], [0.1, 0.2]], BASELINE, e_max=50)
    assert found.treatment == (50, 50) and found.missed_treatment == 2
    assert found.contrast.delta < 0 and found.ratio > 1


def test_equal_arms_need_the_same_epochs():
    found = epochs_to_target(BASELINE, BASELINE, e_max=4)
    assert found.contrast.delta == 0 and found.contrast.p == 1 and found.ratio == 1


def test_an_undefined_epoch_is_not_at_the_target():
    assert epochs_to_target([[math.nan, 0.9]] * 2, BASELINE, e_max=4).treatment == (2, 2)


def test_curves_that_do_not_pair_or_end_undefined_are_refused():
    with pytest.raises(ValueError, match="1 and 2 runs"):
        epochs_to_target([[0.5]], BASELINE, e_max=4)
    with pytest.raises(ValueError, match="e_max is 3"):
        epochs_to_target(BASELINE, BASELINE, e_max=3)
    with pytest.raises(ValueError, match="no target"):
        epochs_to_target(BASELINE, [[0.1, math.nan], [0.2]], e_max=4)
    with pytest.raises(ValueError, match="one validation curve a run"):
        epochs_to_target([[], [0.1]], BASELINE, e_max=4)
