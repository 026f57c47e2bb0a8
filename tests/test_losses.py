"""The losses of pretraining: properties, a plain double loop, gradients."""

import math

import pytest
import torch

from iqa.losses import consistency, feasible_margin, full, ordering_accuracy, ranking, simplified

LEVELS = (2, 3, 5)
MARGIN = 0.0675


def perfect(levels: int, gap: float = 0.1) -> torch.Tensor:
    """Scores (3, 2, L) that fall by `gap` a level."""
    return (1 - gap * torch.arange(levels)).expand(3, 2, levels).clone()


def ranking_by_loop(scores: torch.Tensor, margin: float) -> float:
    terms = [
        max(0.0, margin - float(s[c, i] - s[d, j]))
        for s in scores
        for c in range(2)
        for d in range(2)
        for j in range(s.shape[1])
        for i in range(j)
    ]
    return sum(terms) / len(terms)


@pytest.mark.parametrize("levels", LEVELS)
def test_ranking_agrees_with_the_plain_double_loop(levels):
    scores = torch.randn(4, 2, levels, generator=torch.Generator().manual_seed(0)) * 0.1
    assert float(ranking(scores, MARGIN)) == pytest.approx(ranking_by_loop(scores, MARGIN), abs=1e-7)


@pytest.mark.parametrize("levels", LEVELS)
def test_an_order_with_gaps_of_the_margin_costs_nothing(levels):
    assert ranking(perfect(levels, 0.0676), MARGIN) == 0


@pytest.mark.parametrize("levels", LEVELS)
def test_constant_scores_cost_exactly_the_margin(levels):
    constant = torch.full((2, 2, levels), 0.3, dtype=torch.float64)
    assert float(ranking(constant, MARGIN)) == pytest.approx(MARGIN, rel=1e-12)


@pytest.mark.parametrize("levels", LEVELS)
def test_reversing_a_perfect_order_costs(levels):
    assert ranking(perfect(levels).flip(2), MARGIN) > MARGIN


def test_swapping_the_crops_changes_nothing():
    scores = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(1))
    one, other = simplified(scores, 0.0025, MARGIN, 1, 1), simplified(scores.flip(1), 0.0025, MARGIN, 1, 1)
    assert torch.allclose(one["total"], other["total"])


def test_permuting_the_images_changes_nothing():
    scores = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(ranking(scores, MARGIN), ranking(scores[[2, 0, 3, 1]], MARGIN))


def test_duplicating_a_batch_changes_nothing():
    scores = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(3))
    twice = torch.cat([scores, scores])
    for name, term in simplified(scores, 0.0025, MARGIN, 1, 1).items():
        assert torch.allclose(term, simplified(twice, 0.0025, MARGIN, 1, 1)[name])


def test_consistency_forgives_differences_up_to_its_margin():
    scores = torch.zeros(1, 2, 3)
    scores[:, 1] = torch.tensor([0.002, 0.0025, 0.0125])
    assert float(consistency(scores, 0.0025)) == pytest.approx(0.01 / 3, abs=1e-8)


def test_weights_multiply_their_own_term():
    scores = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(4))
    terms = simplified(scores, 0.0025, MARGIN, 2.0, 0.5)
    assert torch.allclose(terms["total"], 2 * terms["consistency"] + 0.5 * terms["ranking"])


def test_opposite_prompts_rank_alike_and_cost_twice_the_simplified_loss():
    scores = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(5))
    both = full(scores, -scores, 0.0025, MARGIN, (1, 1, 1))
    assert torch.allclose(both["ranking_positive"], both["ranking_negative"])
    assert torch.allclose(both["total"], 2 * simplified(scores, 0.0025, MARGIN, 1, 1)["total"])


def test_the_gradient_is_that_of_finite_differences():
    scores = torch.randn(2, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6), requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: simplified(s, 0.0025, 0.5, 1, 1)["total"], (scores,))


def test_the_ranking_gradient_raises_mild_levels_and_lowers_severe_ones():
    scores = torch.zeros(1, 2, 3, requires_grad=True)
    ranking(scores, MARGIN).backward()
    assert (scores.grad[0, :, 0] < 0).all() and (scores.grad[0, :, 2] > 0).all()


def test_feasible_margin_is_the_papers_bound_at_five_levels():
    assert feasible_margin(5, 0.9635) == pytest.approx(0.0675, abs=1e-4)
    assert feasible_margin(5) == pytest.approx(math.sqrt(4) / 4)


def test_ordering_accuracy_counts_pairs_and_no_ties():
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0]])
    assert float(ordering_accuracy(scores)) == pytest.approx(5 / 6)
