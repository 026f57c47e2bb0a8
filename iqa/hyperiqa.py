"""The HyperIQA head (Su et al., CVPR 2020): a network that writes, for each image, the network that scores it."""

from functools import lru_cache

import torch
from torch import Tensor, nn

from iqa.randomness import SeededDropout

LOCAL = ((16, 8), (32, 4), (64, 2))  # stages 1-3: channels after the 1 x 1 convolution, side after pooling
TARGET = (224, 112, 56, 28, 14)  # widths of the target network before its one output
HYPER, GRID = 112, 7  # channels and side of the map that the generators read
GENERATED = GRID * GRID  # values of one image that one generator channel holds


class LocalDistortion(nn.Module):
    """Local distortion aware vectors: features [(N, C_s, H_s, W_s)] × 4 → (N, 224), the target network's input."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(entering, width, 1, bias=False) for entering, (width, _) in zip(channels, LOCAL, strict=False)
        )
        self.layers = nn.ModuleList(nn.Linear(width * side * side, 16) for width, side in LOCAL)
        self.whole = nn.Linear(channels[-1], TARGET[0] - 16 * len(LOCAL))

    def forward(self, features: list[Tensor]) -> Tensor:
        stages = zip(features, self.convs, self.layers, LOCAL, strict=False)
        # pooled before the convolution: without a bias the two commute, and this way it is up to 49 times cheaper
        local = [layer(conv(pooled(stage, side)).flatten(1)) for stage, conv, layer, (_, side) in stages]
        return torch.cat([*local, self.whole(features[-1].mean(dim=(2, 3)))], dim=1)


class HyperNetwork(nn.Module):
    """Features [(N, C_s, H_s, W_s)] × 4 → the target network of each image: [(weights (N, out, in), biases (N, out))].

    multi_scale: all four stages are its input, else the last one. attention: one softmax weight a stage.
    """

    def __init__(self, channels: tuple[int, ...], multi_scale: bool, attention: bool, dropout: float):
        super().__init__()
        self.multi_scale = multi_scale
        entering = sum(channels) if multi_scale else channels[-1]
        self.attention = _attention(channels[-1], len(channels), dropout) if attention else None
        self.convs = nn.Sequential(  # dropout after the two hidden layers, as in the attention (assumption)
            nn.Conv2d(entering, 512, 1),
            nn.ReLU(),
            SeededDropout(dropout),
            nn.Conv2d(512, 256, 1),
            nn.ReLU(),
            SeededDropout(dropout),
            nn.Conv2d(256, HYPER, 1),
            nn.ReLU(),
        )
        sizes = list(zip(TARGET, TARGET[1:], strict=False))
        self.weights = nn.ModuleList(nn.Conv2d(HYPER, i * o // GENERATED, 3, padding=1) for i, o in sizes)
        self.biases = nn.ModuleList(nn.Linear(HYPER, o) for _, o in sizes)
        self.last_weight = nn.Linear(HYPER, TARGET[-1])
        self.last_bias = nn.Linear(HYPER, 1)
        for generator in (*self.weights, *self.biases, self.last_weight, self.last_bias):
            nn.init.kaiming_normal_(generator.weight)

    def forward(self, features: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        grid = self.convs(self.entering(features))  # (N, 112, 7, 7)
        vector = grid.mean(dim=(2, 3))  # (N, 112)
        layers = [
            (weight(grid).reshape(len(grid), bias.out_features, -1), bias(vector))
            for weight, bias in zip(self.weights, self.biases, strict=True)
        ]
        return [*layers, (self.last_weight(vector)[:, None], self.last_bias(vector))]

    def entering(self, features: list[Tensor]) -> Tensor:
        """The hyper network's input (N, ΣC_s or C_4, 7, 7): pooled stages, each weighed where there is attention."""
        if not self.multi_scale:
            return pooled(features[-1], GRID)
        blocks = [pooled(stage, GRID) for stage in features]
        share = self.shares(features)
        if share is not None:
            blocks = [block * share[:, s, None, None, None] for s, block in enumerate(blocks)]
        return torch.cat(blocks, dim=1)

    def shares(self, features: list[Tensor]) -> Tensor | None:
        """How much each stage counts for each image: (N, 4), rows sum to 1; None without attention."""
        return None if self.attention is None else self.attention(features[-1].mean(dim=(2, 3))).softmax(dim=1)


class HyperHead(nn.Module):
    """Four stages' features [(N, C_s, H_s, W_s)] → scores (N,), unbounded; trained towards [0, 1], higher is better.

    channels: C_s of the four stages. dropout: rate in [0, 1), masks by `randomness.seed_masks`. seed: of the first
    weights; the global generator is left alone.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        multi_scale: bool = True,
        attention: bool = True,
        dropout: float = 0.3,
        seed: int = 0,
    ):
        super().__init__()
        if attention and not multi_scale:
            raise ValueError("attention weighs the four scales: set multi_scale=true, or attention=false.")
        assert len(channels) == len(LOCAL) + 1, "the head reads four stages"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.local = LocalDistortion(channels)
            self.hyper = HyperNetwork(channels, multi_scale, attention, dropout)

    def forward(self, features: list[Tensor]) -> Tensor:
        return target_network(self.local(features), self.hyper(features))


class QualityModel(nn.Module):
    """Images (N, 3, H, W) in [0, 1] → scores (N,)."""

    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))


def target_network(vectors: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Each image's own network on its own vector: (N, in), [(weights (N, out, in), biases (N, out))] → (N,).

    A sigmoid follows each layer but the last, whose one output is the score.
    """
    values = vectors[:, :, None]
    for weights, biases in layers[:-1]:
        values = torch.baddbmm(biases[:, :, None], weights, values).sigmoid()
    weights, biases = layers[-1]
    return torch.baddbmm(biases[:, :, None], weights, values)[:, 0, 0]


def pooled(images: Tensor, side: int) -> Tensor:
    """Adaptive average pooling as two matrix products: (N, C, H, W) → (N, C, side, side).

    torch's own is not deterministic on CUDA, and on MPS refuses sizes that are no multiple of `side`.
    """
    height, width = images.shape[2:]
    if (height, width) == (side, side):
        return images
    rows = _bins(height, side, images.device, images.dtype)
    columns = _bins(width, side, images.device, images.dtype)
    return rows @ images @ columns.mT


@lru_cache(maxsize=64)
def _bins(length: int, side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(side, length): row i averages positions floor(i·length/side) to ceil((i+1)·length/side)."""
    with torch.inference_mode(False):  # kept beyond this call: training may use what serving made first
        bins = torch.zeros(side, length, device="cpu")
        for i in range(side):
            first, last = i * length // side, -(-(i + 1) * length // side)
            bins[i, first:last] = 1 / (last - first)
        return bins.to(device, dtype)


def _attention(channels: int, stages: int, dropout: float) -> nn.Sequential:
    """Pooled stage 4 (N, C_4) → one weight a stage (N, stages), before the softmax."""
    return nn.Sequential(nn.Linear(channels, 256), nn.ReLU(), SeededDropout(dropout), nn.Linear(256, stages))
