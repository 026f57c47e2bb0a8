"""Ridge regression of scores on frozen features: every strength and every number of labels from one decomposition."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .ranks import Array, spearman_rows

STRENGTHS = tuple(10.0**k for k in range(-3, 5))  # of the penalty, in units of the features' mean variance × n


@dataclass(frozen=True)
class Probe:
    """A linear read-out of features: its penalty, what it saw on validation, and how to apply it."""

    strength: float
    validation_srcc: float
    labels: int
    centre: Array
    scale: Array
    weights: Array
    offset: float

    def __call__(self, features: ArrayLike) -> Array:
        """Features (n, D) → scores (n,)."""
        return (np.asarray(features, dtype=np.float64) - self.centre) / self.scale @ self.weights + self.offset


def ridge(features: ArrayLike, scores: ArrayLike, strengths: Sequence[float] = STRENGTHS) -> tuple[Array, Array]:
    """Weights (K, D) and offsets (K,) of ridge on features (n, D) and scores (n,), one row a strength.

    Minimises ‖y − Xw − b‖² + strength·n·‖w‖², the offset not penalised. One eigendecomposition of the smaller of
    XᵀX and XXᵀ serves all strengths.
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1] or len(y) < 3:
        raise ValueError(
            f"ridge needs features (n, D) and scores (n,) of three images or more, not {x.shape}, {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("features and scores are finite numbers: leave out the images that have none")
    if not strengths or min(strengths) <= 0:
        raise ValueError(f"the strengths of a penalty are positive, not {list(strengths)}")
    n = len(y)
    centre, mean = x.mean(axis=0), float(y.mean())
    centred, target = x - centre, y - mean
    wide = x.shape[1] > n
    values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    values = np.maximum(values, 0.0)
    turned = vectors.T @ (target if wide else centred.T @ target)
    weights = np.stack([vectors @ (turned / (values + strength * n)) for strength in strengths])
    weights = weights @ centred if wide else weights
    return weights, mean - weights @ centre


def probe(
    train: tuple[ArrayLike, ArrayLike],
    validation: tuple[ArrayLike, ArrayLike],
    share: float = 1.0,
    seed: int = 0,
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """The ridge whose strength has the best validation SRCC, from a share of the training labels drawn by `seed`.

    train, validation: (features (n, D), scores (n,)). Features are standardised by the labelled training images.
    Ties go to the stronger penalty; a probe that is constant on validation loses to any that is not.
    """
    x, y = (np.asarray(part, dtype=np.float64) for part in train)
    if not 0 < share <= 1:
        raise ValueError(f"the share of labels lies in (0, 1], not at {share}")
    count = max(3, round(share * len(y)))
    kept = np.sort(np.random.default_rng([seed, 7]).permutation(len(y))[:count]) if share < 1 else np.arange(len(y))
    x, y = x[kept], y[kept]
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale <= 1e-12] = 1.0  # a feature that never varies carries nothing
    weights, offsets = ridge((x - centre) / scale, y, strengths)
    held, given = (np.asarray(part, dtype=np.float64) for part in validation)
    answers = (held - centre) / scale @ weights.T + offsets  # (n, K)
    found = np.nan_to_num(spearman_rows(answers.T, given)[0], nan=-np.inf)
    best = max(range(len(strengths)), key=lambda k: (found[k], strengths[k]))
    value = float(found[best]) if np.isfinite(found[best]) else float("nan")
    return Probe(strengths[best], value, len(y), centre, scale, weights[best], float(offsets[best]))
