"""The rater ceiling: how well would another panel of people have predicted the published scores?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .ranks import Array, spearman_rows


@dataclass(frozen=True)
class Ceiling:
    """SRCC of redrawn panels with the published scores: mean and sd over panels, n images.

    `between`: SRCC of two redrawn panels with each other. Both are optimistic, since the histogram's own accidents
    count as quality; if b is `between`, a panel of fresh votes reaches about 2 - 1/b.
    """

    srcc: float
    sd: float
    between: float
    n: int

    def attained(self, srcc: float) -> float:
        """The share of the ceiling that a model's SRCC reaches."""
        return srcc / self.srcc


def rater_ceiling(
    votes: ArrayLike, counts: ArrayLike, scores: ArrayLike | None = None, panels: int = 200, seed: int = 0
) -> Ceiling:
    """Redraw each image's panel from its own histogram: votes (n, 5) shares or counts, c1…c5; counts (n,) raters.

    scores (n,): the published ones; the histogram's own mean if None.
    """
    shares, raters = _histogram(votes, counts)
    values = np.arange(1, shares.shape[1] + 1, dtype=np.float64)
    published = shares @ values if scores is None else np.asarray(scores, dtype=np.float64)
    if published.shape != raters.shape or not np.isfinite(published).all() or panels < 2:
        raise ValueError(f"{len(raters)} histograms need as many finite scores and two panels; got {published.shape}")
    random = np.random.default_rng([seed, 3])
    means = np.stack([random.multinomial(raters, shares) @ values / raters for _ in range(panels)])
    found = spearman_rows(means, published)[0]
    pairs = [float(spearman_rows(means[k : k + 1], means[k + 1])[0][0]) for k in range(0, panels - 1, 2)]
    return Ceiling(float(found.mean()), float(found.std(ddof=1)), float(np.mean(pairs)), len(raters))


def _histogram(votes: ArrayLike, counts: ArrayLike) -> tuple[Array, np.ndarray]:
    """Shares (n, k) that sum to 1 and whole numbers of raters (n,)."""
    table, raters = np.asarray(votes, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or raters.shape != table.shape[:1] or len(raters) < 3:
        raise ValueError(f"votes are one row an image, counts one number; got shapes {table.shape} and {raters.shape}")
    if not np.isfinite(table).all() or not np.isfinite(raters).all() or (table < 0).any() or (raters < 1).any():
        raise ValueError("vote shares are finite and not negative, and every image has at least one rater")
    total = table.sum(axis=1, keepdims=True)
    if (total <= 0).any():
        raise ValueError(f"{int((total <= 0).sum())} images have no votes at all: leave them out")
    return table / total, np.rint(raters).astype(np.int64)
