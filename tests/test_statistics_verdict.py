"""Holm, composite claims, and the marks in their order."""

import math

import pytest

from iqa.statistics import MARGIN_ACROSS, Contrast, Part, claim_p, holm, mark, marking_p


def contrast(delta, half, p=0.01, pairs=8):
    return Contrast(delta, delta - half, delta + half, p, 10.0, (delta,) * pairs, 1.0, 1.0, 0.0, pairs, 100)


def test_a_hand_worked_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_passes_one_and_keeps_the_order():
    assert holm([0.9, 0.5, 0.8]) == [1, 1, 1]
    assert holm([0.2]) == [0.2] and holm([]) == []


def test_an_undefined_claim_helps_no_other():
    found = holm([0.01, math.nan, 0.02])
    assert found[0] == pytest.approx(0.03) and found[2] == pytest.approx(0.04) and math.isnan(found[1])


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="lie in"):
        holm([0.1, 1.5])


def test_the_p_of_a_claim_is_the_largest_of_its_parts():
    assert claim_p([Part(contrast(0.1, 0.1, p)) for p in (0.01, 0.2, 0.03)]) == 0.2
    assert math.isnan(claim_p([Part(contrast(0.1, 0.1, p)) for p in (0.01, math.nan)]))
    with pytest.raises(ValueError, match="at least one contrast"):
        claim_p([])


@pytest.mark.parametrize(
    ("delta", "half", "p", "expected"),
    [
        (0.01, 0.005, 0.01, "✓"),
        (0.0029, 0.002, 0.01, "✓ small"),  # significance comes before equivalence
        (0.003, 0.002, 0.01, "✓"),
        (-0.01, 0.005, 0.01, "✗"),
        (-0.001, 0.0005, 0.01, "✗"),
        (0.001, 0.005, 0.3, "≈"),
        (0.001, 0.007, 0.3, "?"),
        (0.01, 0.005, 0.05, "?"),  # below .05, not at it
        (0.0, 0.007, 1.0, "?"),  # inside the margin, not on it
        (0.0035, 0.0035, 1.0, "?"),
        (0.0, 0.0, 1.0, "≈"),
    ],
)
def test_the_marks_in_their_order(delta, half, p, expected):
    assert mark(Part(contrast(delta, half)), p) == expected


def test_the_margin_across_sets_is_wider():
    c = contrast(0.001, 0.012)
    assert mark(Part(c), 0.5) == "?" and mark(Part(c, MARGIN_ACROSS), 0.5) == "≈"


@pytest.mark.parametrize("pairs", [1, 2])
def test_fewer_than_three_seed_pairs_are_always_open(pairs):
    assert mark(Part(contrast(0.1, 0.001, pairs=pairs)), 1e-9) == "?"
    assert mark(Part(contrast(0.0, 0.001, pairs=pairs)), 1.0) == "?"


def test_an_undefined_contrast_is_open():
    nan = math.nan
    undefined = Contrast(nan, nan, nan, nan, nan, (nan,) * 8, nan, nan, nan, 8, 10)
    assert mark(Part(undefined), nan) == "?"
    assert mark([Part(contrast(0.1, 0.01)), Part(undefined)], nan) == "?"


def test_a_composite_needs_all_parts_to_agree():
    up, down = contrast(0.05, 0.01), contrast(-0.05, 0.01)
    assert mark([Part(up), Part(up)], 0.01) == "✓"
    assert mark([Part(down), Part(down)], 0.01) == "✗"
    assert mark([Part(up), Part(down)], 0.01) == "?"


def test_the_smallest_part_decides_small_and_the_widest_equivalence():
    assert mark([Part(contrast(0.05, 0.01)), Part(contrast(0.002, 0.001))], 0.01) == "✓ small"
    narrow, wide = contrast(0.0, 0.005), contrast(0.0, 0.012)
    assert mark([Part(narrow), Part(wide)], 0.9) == "?"
    assert mark([Part(narrow), Part(wide, MARGIN_ACROSS)], 0.9) == "≈"


def test_one_set_that_is_wholly_worse_forbids_the_better_mark():
    part, harmed, unsure = Part(contrast(0.05, 0.01)), contrast(-0.03, 0.01), contrast(-0.03, 0.05)
    assert mark(part, 0.01, guards=[unsure]) == "✓"
    assert mark(part, 0.01, guards=[unsure, harmed]) == "?"


def test_epochs_have_neither_a_margin_nor_a_small_gain():
    assert mark(Part(contrast(0.001, 0.0005), margin=None, small=None), 0.01) == "✓"
    assert mark(Part(contrast(0.001, 0.0005), margin=None, small=None), 0.5) == "?"


def test_below_six_seed_pairs_a_mark_trusts_twice_the_seeds_degrees_of_freedom_at_most():
    from scipy.stats import t

    few = Contrast(0.05, 0.0, 0.1, 0.0001, 60.0, (0.05,) * 3, 1e-5, 9e-5, 0.0, 3, 100)
    assert marking_p(few) == pytest.approx(2 * t.sf(0.05 / math.sqrt(1e-4), 4))
    enough = Contrast(0.05, 0.0, 0.1, 0.0001, 60.0, (0.05,) * 6, 1e-5, 9e-5, 0.0, 6, 100)
    assert marking_p(enough) == 0.0001


def test_the_caution_never_makes_a_p_smaller_and_leaves_an_undefined_one_alone():
    already = Contrast(0.05, 0.0, 0.1, 0.02, 2.0, (0.05,) * 3, 1e-5, 0.0, 0.0, 3, 0)
    assert marking_p(already) == 0.02
    hole = Contrast(math.nan, math.nan, math.nan, math.nan, math.nan, (math.nan,) * 3, *[math.nan] * 3, 3, 9)
    assert math.isnan(marking_p(hole))
