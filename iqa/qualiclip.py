"""What pretraining scores with: pooled encoder features → unit embedding → quality along a direction."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class Projector(nn.Module):
    """Four stages' features (N, C_s, H_s, W_s) → pooled, concatenated → unit embedding (N, E). Thrown away later."""

    def __init__(self, channels: tuple[int, ...], hidden: int, embedding: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(sum(channels), hidden), nn.ReLU(), nn.Linear(hidden, embedding))

    def forward(self, features: list[Tensor]) -> Tensor:
        pooled = torch.cat([stage.mean(dim=(2, 3)) for stage in features], dim=1)
        return normalize(self.layers(pooled), dim=1)


class DirectionModel(nn.Module):
    """Simplified scores: images (N, 3, H, W) → (N,) = ⟨z, w⟩ with a learned unit direction w, in [−1, 1]."""

    def __init__(self, encoder: nn.Module, channels: tuple[int, ...], hidden: int, embedding: int, seed: int):
        super().__init__()
        self.encoder = encoder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projector = Projector(channels, hidden, embedding)
            self.direction = nn.Parameter(torch.randn(embedding))

    def forward(self, images: Tensor) -> Tensor:
        return self.projector(self.encoder(images)) @ normalize(self.direction, dim=0)
