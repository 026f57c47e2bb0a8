"""The losses of pretraining: properties, a plain double loop, gradients."""

import math

import pytest
import torch

from iqa.losses import consistency, feasible_margin, full, ordering_accuracy, ranking, shuffled, simplified

LEVELS = (2, 3, 5)
MARGIN = 0.0675


def perfect(levels: int, gap: float = 0.1) -> torch.Tensor:
    """Scores (3, 2, L) that fall by `gap` a level."""
    return (1 - gap * torch.arange(levels)).expand(3, 2, levels).clone()


def pairs_by_loop(scores: torch.Tensor) -> list[tuple[float, float]]:
    """(mild, severe) of every image, of both crops with both crops."""
    return [
        (float(s[c, i]), float(s[d, j]))
        for s in scores
        for c in range(2)
        for d in range(2)
        for j in range(s.shape[1])
        for i in range(j)
    ]


def ranking_by_loop(scores: torch.Tensor, margin: float) -> float:
    terms = [max(0.0, margin - (mild - severe)) for mild, severe in pairs_by_loop(scores)]
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
    assert feasible_margin(5, math.sqrt(2 - 2 * 0.9635)) == pytest.approx(0.0675, abs=1e-4)
    assert feasible_margin(5) == pytest.approx(math.sqrt(4) / 4)


@pytest.mark.parametrize("cosine", [-1.0, 0.0, 0.9])
def test_the_feasible_margin_can_be_reached_and_no_larger_one(cosine):
    """Embeddings from one end of t_p − t_n to the other, evenly in their scores: the best that a chain can do."""
    levels, good = 3, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    bad = torch.tensor([cosine, math.sqrt(1 - cosine**2), 0.0], dtype=torch.float64)
    axis = (good - bad) / (good - bad).norm()
    shares = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)[:, None]
    rest = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    z = shares * axis + (1 - shares**2).sqrt() * rest  # unit vectors
    positive, negative = ((z @ t).expand(1, 2, levels) for t in (good, bad))
    largest = feasible_margin(levels, float((good - bad).norm()))
    assert full(positive, negative, 0.0, largest - 1e-9, (1, 1, 1))["total"] == 0
    assert full(positive, negative, 0.0, largest + 1e-3, (1, 1, 1))["total"] > 0


def double(*shape: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 0.1


def consistency_by_loop(scores: torch.Tensor, margin: float) -> float:
    terms = [max(0.0, abs(float(s[0, i] - s[1, i])) - margin) for s in scores for i in range(s.shape[1])]
    return sum(terms) / len(terms)


def negative_by_loop(scores: torch.Tensor, margin: float) -> float:
    """L_neg: the severe level has the higher score."""
    terms = [max(0.0, margin - (severe - mild)) for mild, severe in pairs_by_loop(scores)]
    return sum(terms) / len(terms)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_full_loss_agrees_with_the_plain_double_loop(levels):
    positive, negative = double(4, 2, levels), double(4, 2, levels, seed=8)
    terms = full(positive, negative, 0.0025, MARGIN, (0.5, 2.0, 3.0))
    both = consistency_by_loop(positive, 0.0025) + consistency_by_loop(negative, 0.0025)
    expected = (both, ranking_by_loop(positive, MARGIN), negative_by_loop(negative, MARGIN))
    assert [float(terms[name]) for name in ("consistency", "ranking_positive", "ranking_negative")] == pytest.approx(
        list(expected), abs=1e-14
    )
    assert float(terms["total"]) == pytest.approx(0.5 * expected[0] + 2 * expected[1] + 3 * expected[2], abs=1e-14)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_simplified_loss_agrees_with_the_plain_double_loop(levels):
    scores = double(4, 2, levels)
    expected = 0.5 * consistency_by_loop(scores, 0.0025) + 2 * ranking_by_loop(scores, MARGIN)
    assert float(simplified(scores, 0.0025, MARGIN, 0.5, 2.0)["total"]) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("levels", LEVELS)
def test_the_full_loss_is_zero_on_a_perfect_order_the_margin_on_constants_and_more_on_the_reverse(levels):
    order = perfect(levels, 0.0676)
    assert full(order, -order, 0.0025, MARGIN, (1, 1, 1))["total"] == 0
    flat = torch.full((2, 2, levels), 0.3, dtype=torch.float64)
    terms = full(flat, flat, 0.0025, MARGIN, (1, 1, 1))
    assert float(terms["ranking_positive"]) == pytest.approx(MARGIN, rel=1e-12)
    assert float(terms["ranking_negative"]) == pytest.approx(MARGIN, rel=1e-12)
    reversed_order = full(-order, order, 0.0025, MARGIN, (1, 1, 1))
    assert reversed_order["ranking_positive"] > MARGIN and reversed_order["ranking_negative"] > MARGIN


def test_the_full_loss_ignores_the_order_of_crops_and_images_and_repeated_batches():
    positive, negative = double(4, 2, 5), double(4, 2, 5, seed=9)
    whole = full(positive, negative, 0.0025, MARGIN, (1, 1, 1))["total"]
    for change in (lambda s: s.flip(1), lambda s: s[[2, 0, 3, 1]], lambda s: torch.cat([s, s])):
        assert torch.allclose(full(change(positive), change(negative), 0.0025, MARGIN, (1, 1, 1))["total"], whole)


def test_the_full_loss_has_the_gradient_of_finite_differences():
    scores = [double(2, 2, 3, seed=seed).requires_grad_() for seed in (10, 11)]
    assert torch.autograd.gradcheck(lambda p, n: full(p, n, 0.0025, 0.5, (1, 2, 3))["total"], scores)


def test_the_loss_of_a_batch_is_the_weighted_sum_of_its_parts():
    scores = double(5, 2, 3)
    parts = [(scores[:2], 2 / 5), (scores[2:], 3 / 5)]
    whole = simplified(scores, 0.0025, MARGIN, 1, 1)["total"]
    assert torch.allclose(sum(share * simplified(s, 0.0025, MARGIN, 1, 1)["total"] for s, share in parts), whole)


def test_shuffling_gives_both_crops_of_an_image_its_own_order_of_levels():
    scores = double(3, 2, 4, 2)
    orders = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]])
    found = shuffled(scores, orders)
    assert torch.equal(found[0], scores[0])
    assert torch.equal(found[1], scores[1].flip(1))
    assert torch.equal(found[2], scores[2][:, [1, 0, 3, 2]])


def test_shuffling_leaves_consistency_as_it_is():
    scores = double(2, 2, 5, 1)
    orders = torch.stack([torch.randperm(5, generator=torch.Generator().manual_seed(n)) for n in range(2)])
    assert torch.allclose(
        consistency(shuffled(scores, orders)[..., 0], 0.0025), consistency(scores[..., 0], 0.0025), atol=1e-15
    )


def test_ordering_accuracy_counts_pairs_and_no_ties():
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0]])
    assert float(ordering_accuracy(scores)) == pytest.approx(5 / 6)
