"""Stateless randomness: a seed is a hash of what it is for, so nothing depends on batch, worker or resume."""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64: splitmix64's increment


def sub_seed(*purpose: object) -> int:
    """A seed in [0, 2**63) that depends on nothing but the words and numbers of `purpose`.

    >>> sub_seed(0, "crop", 3, 17) == sub_seed(0, "crop", 3, 17) != sub_seed(0, "flip", 3, 17)
    True
    """
    text = "\x1f".join(str(part) for part in purpose)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*purpose: object) -> torch.Generator:
    """A CPU generator seeded with `sub_seed(*purpose)`."""
    return torch.Generator().manual_seed(sub_seed(*purpose))


def uniform(seeds: Tensor, count: int) -> Tensor:
    """Uniform numbers in [0, 1), one row a seed: (N,) int64 → (N, count) float32, equal on every device.

    Counter based (splitmix64, Steele et al. 2014): row n depends on seeds[n] alone, so a batch that is
    split or reordered draws the same numbers.
    """
    counter = torch.arange(1, count + 1, device=seeds.device, dtype=torch.int64)
    z = seeds[:, None] + counter * _GOLDEN
    z = (z ^ _shift(z, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    z = (z ^ _shift(z, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return _shift(z ^ _shift(z, 31), 40).to(torch.float32) * 2.0**-24


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical (zero-filling) right shift of int64, which torch shifts arithmetically."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


class SeededDropout(nn.Module):
    """Dropout whose mask is a function of each sample's seed; call `seed_masks` before a training forward.

    (N, ...) → (N, ...). In evaluation mode, or with rate 0, the identity.
    """

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate lies in [0, 1), not at {rate}")
        self.rate = rate
        self.seeds: Tensor | None = None

    def mask_size(self, x: Tensor) -> int:
        """How many numbers one sample draws: here one for each of its values."""
        return x[0].numel()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        assert self.seeds is not None and len(self.seeds) == len(x), "seed_masks(model, seeds) comes before forward"
        count = self.mask_size(x)
        keep = uniform(self.seeds.to(x.device), count) >= self.rate
        shape = x.shape if count > 1 else (len(x),) + (1,) * (x.dim() - 1)
        return x * keep.reshape(shape).to(x.dtype) / (1 - self.rate)


class SeededDropPath(SeededDropout):
    """Stochastic depth: drops a residual branch for a whole sample."""

    def mask_size(self, x: Tensor) -> int:
        return 1


def seed_masks(model: nn.Module, seeds: Iterable[int]) -> None:
    """Give every seeded dropout of `model` its own stream of each sample's seed (one seed a sample)."""
    base = torch.tensor(list(seeds), dtype=torch.int64)
    for name, module in model.named_modules():
        if isinstance(module, SeededDropout):
            module.seeds = base ^ sub_seed(name)
