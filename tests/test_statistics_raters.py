"""The rater ceiling from vote histograms."""

import numpy as np
import pytest

from iqa.statistics import rater_ceiling


def panel(n=300, raters=100, seed=0):
    """Vote shares (n, 5) of raters who agree up to a step or so, and the true qualities (n,)."""
    random = np.random.default_rng(seed)
    quality = random.uniform(1, 5, n)
    votes = np.clip(np.rint(quality[:, None] + 0.8 * random.normal(size=(n, raters))), 1, 5)
    return np.stack([(votes == k).mean(axis=1) for k in range(1, 6)], axis=1), quality


def test_raters_who_all_agree_have_the_ceiling_one():
    votes = np.eye(5)[[0, 1, 2, 3, 4]]
    found = rater_ceiling(votes, [10] * 5)
    assert (found.srcc, found.sd, found.between, found.n) == (pytest.approx(1), 0, pytest.approx(1), 5)


def test_smaller_panels_have_a_lower_ceiling():
    votes, _ = panel()
    large, small = (rater_ceiling(votes, [k] * 300, panels=20).srcc for k in (100, 5))
    assert 0.5 < small < large - 0.02 < 1


def test_fresh_votes_do_about_what_the_docstring_promises():
    votes, _ = panel(raters=15)
    fresh, _ = panel(raters=15)
    found = rater_ceiling(votes, [15] * 300, panels=40)
    random = np.random.default_rng(9)
    _, quality = panel(raters=15)
    again = np.clip(np.rint(quality[:, None] + 0.8 * random.normal(size=(300, 15))), 1, 5).mean(axis=1)
    truth = np.corrcoef(np.argsort(np.argsort(votes @ np.arange(1, 6))), np.argsort(np.argsort(again)))[0, 1]
    assert truth < found.srcc and found.between < found.srcc - 0.004
    assert truth == pytest.approx(2 - 1 / found.between, abs=0.02)


def test_shares_and_counts_are_the_same_histogram():
    votes, quality = panel()
    assert rater_ceiling(votes, [100] * 300, quality) == rater_ceiling(votes * 8, [100] * 300, quality)


def test_the_published_scores_are_what_is_predicted():
    votes, quality = panel()
    assert rater_ceiling(votes, [100] * 300, -quality, panels=4).srcc < -0.9


def test_a_model_attains_a_share():
    found = rater_ceiling(*panel_with_counts())
    assert found.attained(found.srcc) == 1 and found.attained(found.srcc / 2) == pytest.approx(0.5)


def panel_with_counts():
    return panel()[0], np.full(300, 100)


@pytest.mark.parametrize(
    ("votes", "counts", "message"),
    [
        (np.ones((4, 5)), [1, 1, 1], "one row an image"),
        (-np.ones((4, 5)), [1] * 4, "not negative"),
        (np.ones((4, 5)), [0, 1, 1, 1], "at least one rater"),
        (np.zeros((4, 5)), [1] * 4, "no votes"),
    ],
)
def test_histograms_that_are_none_are_refused(votes, counts, message):
    with pytest.raises(ValueError, match=message):
        rater_ceiling(votes, counts)
