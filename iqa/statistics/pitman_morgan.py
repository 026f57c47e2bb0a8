"""Pitman-Morgan's test of two dependent variances, on the rank errors of two models of one seed pair.

With standardised midranks the error e = rank(prediction) - rank(score) has variance 2 (1 - SRCC), ties or not. So
two models have one SRCC exactly if their errors have one variance, that is if difference and sum of the errors are
uncorrelated (Pitman 1939, Morgan 1939). The slope's error is HC3 (MacKinnon and White 1985), for errors that vary
with quality. It stands beside the verdict: one model pair, images as units, the ranks taken as given.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .ranks import Array, checked, ordered


@dataclass(frozen=True)
class PitmanMorgan:
    """One seed pair: slope > 0 where the treatment's errors are the smaller; t and two-sided p with n - 2."""

    slope: float
    t: float
    p: float


def pitman_morgan(treatment: ArrayLike, baseline: ArrayLike, scores: ArrayLike) -> tuple[PitmanMorgan, ...]:
    """One test a seed pair: (S, n), (S, n), (n,) → S results; nan for constants and fewer than 4 images."""
    t, y, _ = checked(np.atleast_2d(np.asarray(treatment, dtype=np.float64)), scores)
    b, _, _ = checked(np.atleast_2d(np.asarray(baseline, dtype=np.float64)), scores)
    if t.shape != b.shape:
        raise ValueError(f"{len(t)} treatment runs cannot be paired with {len(b)} baseline runs: give one row a pair")
    rank_t, rank_b, rank_y = _standard_ranks(t), _standard_ranks(b), _standard_ranks(y[None])
    return tuple(_test(better, worse) for better, worse in zip(rank_t - rank_y, rank_b - rank_y, strict=True))


def _standard_ranks(rows: Array) -> Array:
    """Midranks of each row with mean 0 and variance 1: (R, n) → (R, n), nan in constant rows."""
    centred = ordered(rows).cdf - 0.5
    variance = (centred**2).mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # the nan of a constant row
        return centred / np.sqrt(np.where(variance < 1e-14, np.nan, variance))


def _test(error_t: Array, error_b: Array) -> PitmanMorgan:
    """Slope of (error_b - error_t) on (error_b + error_t), both with mean 0: (n,) each."""
    from scipy.stats import t as student

    difference, total = error_b - error_t, error_b + error_t
    n, square = len(total), float(total @ total)
    if n < 4 or not np.isfinite(square):
        return PitmanMorgan(math.nan, math.nan, math.nan)
    if float(difference @ difference) < 1e-20 * n:
        return PitmanMorgan(0.0, 0.0, 1.0)  # both order the images alike
    slope = float(total @ difference) / square
    leverage = 1 / n + total**2 / square
    residual = (difference - slope * total) / np.maximum(1 - leverage, 1e-12)
    error = math.sqrt(float((total * residual) @ (total * residual))) / square
    if error < 1e-14:  # a perfect order on one side: no scatter to judge by
        return PitmanMorgan(slope, math.nan, math.nan)
    t = slope / error
    return PitmanMorgan(slope, t, float(2 * student.sf(abs(t), n - 2)))
