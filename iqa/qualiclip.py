"""What pretraining scores with: pooled encoder features → unit embedding → scores against directions of quality.

Source: QualiCLIP (arXiv 2403.11176), section 3, and its form without text.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize


class Projector(nn.Module):
    """Four stages' features (N, C_s, H_s, W_s) → pooled, concatenated → unit embedding (N, E). Thrown away later."""

    def __init__(self, channels: tuple[int, ...], hidden: int, embedding: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(sum(channels), hidden), nn.ReLU(), nn.Linear(hidden, embedding))

    def forward(self, features: list[Tensor]) -> Tensor:
        pooled = torch.cat([stage.mean(dim=(2, 3)) for stage in features], dim=1)
        return normalize(self.layers(pooled), dim=1)


class DirectionModel(nn.Module):
    """Simplified scores: images (N, 3, H, W) → (N, 1) = ⟨z, w⟩ with a learned unit direction w, in [−1, 1]."""

    def __init__(self, encoder: nn.Module, channels: tuple[int, ...], hidden: int, embedding: int, seed: int):
        super().__init__()
        self.encoder = encoder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projector = Projector(channels, hidden, embedding)
            self.direction = nn.Parameter(torch.randn(embedding))

    def forward(self, images: Tensor) -> Tensor:
        return self.projector(self.encoder(images)) @ normalize(self.direction, dim=0)[:, None]

    def prototypes(self) -> Tensor:
        """w and −w: (2, E)."""
        direction = normalize(self.direction.detach(), dim=0)
        return torch.stack([direction, -direction])


class PrototypeModel(nn.Module):
    """Full scores: images (N, 3, H, W) → (N, 2) = (s_p, s_n), the mean cosines to the good and to the bad prototypes.

    pairs: frozen unit vectors (P, 2, E) of P antonym pairs, good before bad; the scores are averaged, not the
    prompts' meaning: the mean of ⟨z, t⟩ over t is ⟨z, mean t⟩, so one product serves every number of pairs.
    """

    means: Tensor

    def __init__(self, encoder: nn.Module, channels: tuple[int, ...], hidden: int, pairs: Tensor, seed: int):
        super().__init__()
        self.encoder = encoder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projector = Projector(channels, hidden, pairs.shape[-1])
        self.register_buffer("means", pairs.mean(dim=0))

    def forward(self, images: Tensor) -> Tensor:
        return self.projector(self.encoder(images)) @ self.means.T

    def prototypes(self) -> Tensor:
        """The mean good and the mean bad prototype: (2, E), of unit length where there is one pair."""
        return self.means


def quality(scores: Tensor) -> Tensor:
    """The one number that orders levels: (..., 1) → s, (..., 2) → s_p − s_n, higher is better."""
    return scores[..., 0] if scores.shape[-1] == 1 else scores[..., 0] - scores[..., 1]


def cosine(prototypes: Tensor) -> float:
    """cos(t_p, t_n) of (2, E)."""
    return float(cosine_similarity(prototypes[0], prototypes[1], dim=0))


def reach(prototypes: Tensor) -> float:
    """‖t_p − t_n‖ of (2, E): √(2 − 2 cos) for unit vectors; what ranking margins have to share."""
    return float((prototypes[0] - prototypes[1]).norm())


def random_pair(embedding: int, cosine: float, seed: int) -> Tensor:
    """One pair of unit vectors in a random plane with exactly this cosine: (1, 2, E). The control without words."""
    if embedding < 2:
        raise ValueError(f"two directions need an embedding of at least 2, not {embedding}: raise model.embedding.")
    chance = torch.Generator().manual_seed(seed)
    plane = torch.linalg.qr(torch.randn(embedding, 2, generator=chance, dtype=torch.float64)).Q.T
    other = cosine * plane[0] + math.sqrt(1 - cosine**2) * plane[1]
    return torch.stack([plane[0], other])[None].float()
