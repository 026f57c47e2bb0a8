"""Losses of quality-aware pretraining: scores of degraded crops → scalars, with the terms by name.

Scores have the shape (N, 2, L): N images, two crops each, L levels of one family, level 0 the mildest.
Every term is a mean over its own pairs, so duplicating a batch leaves it as it is. Source: QualiCLIP
(arXiv 2403.11176), section 3; the simplified form needs no text encoder.
"""

import torch
from torch import Tensor
from torch.nn.functional import relu


def consistency(scores: Tensor, margin: float) -> Tensor:
    """Two crops of one image at one level score alike: mean relu(|s¹ − s²| − margin). (N, 2, L) → ()."""
    return relu((scores[:, 0] - scores[:, 1]).abs() - margin).mean()


def ranking(scores: Tensor, margin: float) -> Tensor:
    """A milder level scores higher, also across the crops: mean relu(margin − (s[c,i] − s[d,j])), i < j.

    (N, 2, L) → (). Constant scores cost exactly the margin; gaps of at least the margin cost nothing.
    """
    mild, severe = level_pairs(scores.shape[-1], scores.device)
    gaps = scores[:, :, None, mild] - scores[:, None, :, severe]  # (N, 2, 2, pairs)
    return relu(margin - gaps).mean()


def simplified(
    scores: Tensor, m_cons: float, m_rank: float, consistency_weight: float, ranking_weight: float
) -> dict[str, Tensor]:
    """λ_cons L_cons + λ_rank L_pos of one learned direction's scores (N, 2, L): terms and their "total"."""
    terms = {"consistency": consistency(scores, m_cons), "ranking": ranking(scores, m_rank)}
    return terms | {"total": consistency_weight * terms["consistency"] + ranking_weight * terms["ranking"]}


def full(
    positive: Tensor, negative: Tensor, m_cons: float, m_rank: float, weights: tuple[float, float, float]
) -> dict[str, Tensor]:
    """QualiCLIP's loss: scores against the positive and the negative prompt, (N, 2, L) each.

    weights: (λ_cons, λ_pos, λ_neg). Whether the margin can be satisfied is the caller's question (`feasible_margin`).
    """
    terms = {
        "consistency": consistency(positive, m_cons) + consistency(negative, m_cons),
        "ranking_positive": ranking(positive, m_rank),
        "ranking_negative": ranking(-negative, m_rank),
    }
    weighted = [weight * term for weight, term in zip(weights, terms.values(), strict=True)]
    return terms | {"total": torch.stack(weighted).sum()}


def feasible_margin(levels: int, reach: float = 2.0) -> float:
    """The largest m_rank that unit embeddings can satisfy: ‖mean t_p − mean t_n‖ / (L − 1).

    reach: that distance, √(2 − 2c) for one pair at cosine c; simplified is c = −1, where it is 2. Proof: the ends of
    a chain of satisfied margins are (L − 1) m apart in s_p and in s_n, so ⟨z_0 − z_{L−1}, t_p − t_n⟩ ≥ 2 (L − 1) m,
    and ‖z_0 − z_{L−1}‖ ≤ 2.
    """
    return reach / (levels - 1)


def shuffled(scores: Tensor, orders: Tensor) -> Tensor:
    """The control: each image's levels renamed, the same way for both crops: (N, 2, L, K), (N, L) → (N, 2, L, K)."""
    index = orders[:, None, :, None].expand(-1, scores.shape[1], -1, scores.shape[3])
    return scores.gather(2, index)


def ordering_accuracy(scores: Tensor) -> Tensor:
    """Share of level pairs of one crop that are in order: (N, L) → (), ties count as wrong."""
    mild, severe = level_pairs(scores.shape[-1], scores.device)
    return (scores[:, mild] > scores[:, severe]).float().mean()


def level_pairs(levels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """All pairs i < j of L levels, as two index vectors of L(L−1)/2."""
    mild, severe = torch.triu_indices(levels, levels, offset=1, device=device)
    return mild, severe
