"""The crossed percentile bootstrap: seed pairs and units both drawn with replacement. It never decides.

It is exact: a unit drawn m times weighs m in the midranks of its resample, so nothing is linearised. In simulation
it covers 82-99% with 6 seeds, too little when the seeds' spread dominates; hence `crossed` decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .ranks import Array, Index, checked, ordered

_VALUES = 40_000  # of one block of resamples: small enough for the cache, large enough to hide Python


@dataclass(frozen=True)
class Bootstrap:
    """Percentile interval of the mean difference, and the draws (resamples,) it was read from.

    `undefined` resamples had a constant model or constant scores: nan among the draws, left out of the interval.
    """

    low: float
    high: float
    undefined: int
    draws: Array


def crossed_bootstrap(
    treatment: ArrayLike,
    baseline: ArrayLike,
    scores: ArrayLike,
    units: ArrayLike | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    name: str = "",
) -> Bootstrap:
    """Resample the mean of SRCC(treatment) - SRCC(baseline); (S, n), (S, n), (n,), (n,) as in `crossed`.

    Seed pairs are drawn by `seed` alone, units by `seed` and the set's `name`: sets of one macro average then
    share their seed draws, as they share their models, and differ in their units. About 11 s for 8 pairs of
    11,125 images and 2 s for 2,015 (measured, one core); sets may be resampled in processes of their own.
    """
    t, y, codes = checked(np.atleast_2d(np.asarray(treatment, dtype=np.float64)), scores, units)
    b, _, _ = checked(np.atleast_2d(np.asarray(baseline, dtype=np.float64)), scores, units)
    if t.shape != b.shape or resamples < 1:
        raise ValueError(f"{len(t)} and {len(b)} runs in {resamples} resamples: give paired rows and at least one")
    pairs = len(t)
    times = np.random.default_rng([seed, 1]).multinomial(pairs, [1 / pairs] * pairs, size=resamples)
    random = np.random.default_rng([seed, 2, *name.encode()])
    ranks = [_Ranks(row) for row in [y, *t, *b]]
    block = max(1, _VALUES // len(y))
    parts = [times[first : first + block] for first in range(0, resamples, block)]
    return _percentiles(np.concatenate([_differences(ranks, _weights(codes, len(m), random), m) for m in parts]))


def macro_bootstrap(sets: Sequence[Bootstrap]) -> Bootstrap:
    """The mean over sets that were resampled with one `seed`, each under its own name."""
    if not sets or len({len(s.draws) for s in sets}) > 1:
        raise ValueError("a macro average needs at least one set, and the same number of resamples in each")
    return _percentiles(np.mean([s.draws for s in sets], axis=0))


def _percentiles(draws: Array) -> Bootstrap:
    defined = draws[~np.isnan(draws)]
    low, high = np.quantile(defined, (0.025, 0.975)) if len(defined) else (np.nan, np.nan)
    return Bootstrap(float(low), float(high), len(draws) - len(defined), draws)


def _weights(codes: Index, resamples: int, random: np.random.Generator) -> Array:
    """How often each image is in each resample of units: (resamples, n)."""
    count = int(codes.max()) + 1
    drawn = random.integers(0, count, (resamples, count)) + count * np.arange(resamples)[:, None]
    times = np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)
    return times.take(codes, axis=1).astype(np.float64)


@dataclass(frozen=True)
class _Resamples:
    """B resamples as weights (B, n), and what all models need of them: weights·g with g the scores' centred midranks,

    the variance of g, the variance of any values that are all different, and the sum of weights·g·weights/2.
    """

    weights: Array
    weighted: Array
    var_y: Array
    var_untied: Array
    own: Array

    def rows(self, drawn: Index) -> "_Resamples":
        parts = (self.weights, self.weighted, self.var_y, self.var_untied, self.own)
        return _Resamples(*(part[drawn] for part in parts))


def _resamples(weights: Array, scores: "_Ranks") -> _Resamples:
    g = scores.centred(weights)
    weighted = weights * g
    cubes = np.einsum("bn,bn,bn->b", weights, weights, weights)
    var_untied = (weights.sum(axis=1) ** 3 - cubes) / 12
    own = np.einsum("bn,bn->b", weighted, weights) / 2
    return _Resamples(weights, weighted, np.einsum("bn,bn->b", weighted, g), var_untied, own)


def _differences(ranks: list["_Ranks"], weights: Array, times: Index) -> Array:
    """Mean over drawn seed pairs of the weighted Spearman difference: (B, n), times (B, S) of each pair → (B,)."""
    pairs = times.shape[1]
    resamples = _resamples(weights, ranks[0])
    total = np.zeros(len(weights))
    for s in range(pairs):
        drawn = np.flatnonzero(times[:, s])
        those = resamples.rows(drawn)
        total[drawn] += times[drawn, s] * (ranks[1 + s].spearman(those) - ranks[1 + pairs + s].spearman(those))
    return total / pairs


class _Ranks:
    """One column of values, sorted once: its weighted midranks are then a cumulative sum away."""

    def __init__(self, values: Array):
        sort = ordered(values[None])
        self.order, self.start, self.end = sort.order[0], sort.start[0], sort.end[0]
        self.tied = bool((self.end - self.start > 1).any())

    def centred(self, weights: Array) -> Array:
        """Weighted midranks minus half the weight, in the values' own order: (B, n) → (B, n)."""
        total = np.zeros((len(weights), weights.shape[1] + 1))
        np.cumsum(weights.take(self.order, axis=1), axis=1, out=total[:, 1:])
        out = np.empty(weights.shape)
        out[:, self.order] = (total.take(self.start, axis=1) + total.take(self.end, axis=1) - total[:, -1:]) / 2
        return out

    def spearman(self, of: _Resamples) -> Array:
        """Weighted Spearman of these values with the scores: (B,), nan where either is constant."""
        if self.tied:
            f = self.centred(of.weights)
            var_x, covariance = np.einsum("bn,bn,bn->b", of.weights, f, f), np.einsum("bn,bn->b", of.weighted, f)
        else:  # a midrank is the cumulative weight minus half its own; weights·g sums to 0, so the centre is none
            below = np.cumsum(of.weights.take(self.order, axis=1), axis=1)
            var_x = of.var_untied
            covariance = np.einsum("bn,bn->b", of.weighted.take(self.order, axis=1), below) - of.own
        defined = (var_x > 0) & (of.var_y > 0)
        return np.where(defined, covariance, np.nan) / np.sqrt(np.where(defined, var_x * of.var_y, 1.0))
