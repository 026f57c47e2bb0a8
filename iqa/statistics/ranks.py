"""Spearman's correlation by midranks, its influence function, and one model's interval.

Everything here is the functional rho(P) = Cov(F(X), G(Y)) / sqrt(Var F(X) Var G(Y)) with the mid-distribution
F(t) = P(X < t) + P(X = t)/2: at an empirical P it is SciPy's spearmanr, ties included, and its derivative towards
a point is the influence of Croux and Dehon (Statistical Methods & Applications 2010), with terms for ties.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Order:
    """Rows (R, n) in ascending order: `order` sorts, place k's tie group is the places `start[k]` to `end[k]` - 1."""

    order: Index
    start: Index
    end: Index

    @property
    def cdf(self) -> Array:
        """Mid-distribution of each value, in the rows' own order: (R, n) in (0, 1), mean 1/2 in each row."""
        out = np.empty(self.order.shape)
        np.put_along_axis(out, self.order, (self.start + self.end) / (2 * self.order.shape[1]), axis=1)
        return out

    def above(self, values: Array) -> Array:
        """For each point i of a row: mean over j of values[j]·([x_j > x_i] + [x_j = x_i]/2): (R, n) → (R, n)."""
        rows, n = values.shape
        total = np.zeros((rows, n + 1))
        np.cumsum(np.take_along_axis(values, self.order, axis=1), axis=1, out=total[:, 1:])
        half = np.take_along_axis(total, self.start, axis=1) + np.take_along_axis(total, self.end, axis=1)
        out = np.empty(values.shape)
        np.put_along_axis(out, self.order, (total[:, -1:] - half / 2) / n, axis=1)
        return out


def ordered(rows: Array) -> Order:
    """Sort each row of (R, n) once; equal values form one tie group."""
    n = rows.shape[1]
    order = np.argsort(rows, axis=1, kind="stable")
    values = np.take_along_axis(rows, order, axis=1)
    place = np.arange(n)
    first = np.ones(rows.shape, dtype=bool)
    first[:, 1:] = values[:, 1:] != values[:, :-1]
    last = np.ones(rows.shape, dtype=bool)
    last[:, :-1] = first[:, 1:]
    start = np.maximum.accumulate(np.where(first, place, 0), axis=1)
    end = np.minimum.accumulate(np.where(last, place + 1, n)[:, ::-1], axis=1)[:, ::-1]
    return Order(order, start, end)


def spearman_rows(predictions: Array, scores: Array) -> tuple[Array, Array]:
    """Spearman of each row of predictions (R, n) with scores (n,), and its influence: (R,) and (R, n).

    Both are nan in a row that is constant, and in all rows where the scores are. Influences sum to 0 in each row.
    """
    by_x, by_y = ordered(predictions), ordered(scores[None])
    f, g = by_x.cdf, by_y.cdf
    g_rows, order_y = np.broadcast_to(g, f.shape), _repeated(by_y, len(f))
    covariance, d_covariance = _moment(f * g_rows, by_x.above(g_rows), order_y.above(f))
    var_x, d_var_x = _moment(f * f, *[by_x.above(f)] * 2)
    var_y, d_var_y = _moment(g * g, *[by_y.above(g)] * 2)
    with np.errstate(invalid="ignore", divide="ignore"):  # constant rows: 0/0 is the nan that is promised
        rho = covariance / np.sqrt(var_x * var_y)
        influence = d_covariance / np.sqrt(var_x * var_y) - rho / 2 * (d_var_x / var_x + d_var_y / var_y)
    return np.clip(rho, -1, 1)[:, 0], influence


def _moment(product: Array, through_f: Array, through_g: Array) -> tuple[Array, Array]:
    """E[F·G] - 1/4 and its derivative towards each point: (R, 1) and (R, n).

    F and G depend on P too, hence two more terms; E[F] = 1/2 for every P, so the mean's term is constant.
    """
    mean = product.mean(axis=1, keepdims=True)
    return _snapped(mean - 0.25), product + through_f + through_g - 3 * mean


def _snapped(variance: Array) -> Array:
    """Rounding of a constant's variance to exactly 0; the smallest other one is about 1/(4n)."""
    return np.where(np.abs(variance) < 1e-14, 0.0, variance)


def _repeated(one: Order, rows: int) -> Order:
    shape = (rows, one.order.shape[1])
    return Order(*(np.broadcast_to(part, shape) for part in (one.order, one.start, one.end)))


def srcc_influence(predictions: ArrayLike, scores: ArrayLike) -> Array:
    """Influence of each image on Spearman's correlation: (n,), sum 0, nan where the correlation is undefined.

    Without ties this is Croux and Dehon's -3 rho - 9 + 12 (F G + E[F 1(Y > y)] + E[G 1(X > x)]) up to terms of
    order 1/n. Leaving image i out changes rho by about -influence[i] / (n - 1).
    """
    x, y, _ = checked(np.atleast_2d(np.asarray(predictions, dtype=np.float64)), scores)
    return spearman_rows(x, y)[1][0]


def interval(
    predictions: ArrayLike, scores: ArrayLike, units: ArrayLike | None = None, level: float = 0.95
) -> tuple[float, float]:
    """Confidence interval of one model's SRCC over units (images if None): Fisher's z, influence, t with N - 1.

    It speaks of these weights on other images; the spread of training seeds is not in it. (nan, nan) where the
    SRCC is undefined, with a single unit, and at a perfect order, whose influences are all 0.
    """
    from scipy.stats import t

    x, y, codes = checked(np.atleast_2d(np.asarray(predictions, dtype=np.float64)), scores, units)
    rho, influence = spearman_rows(x, y)
    by_unit = per_unit(influence, codes)[0]
    if len(by_unit) < 2 or math.isnan(rho[0]) or abs(rho[0]) > 1 - 1e-12:
        return math.nan, math.nan
    z = math.atanh(rho[0])
    half = t.ppf((1 + level) / 2, len(by_unit) - 1) * math.sqrt(by_unit.var(ddof=1) / len(by_unit)) / (1 - rho[0] ** 2)
    return math.tanh(z - half), math.tanh(z + half)


def per_unit(influence: Array, codes: Index) -> Array:
    """Sum within each unit, times N/n, so that the mean over units is the mean over images: (R, n) → (R, N)."""
    rows, n = influence.shape
    count = int(codes.max()) + 1
    if count == n:
        return influence  # every image is its own unit; their order plays no part in any variance
    flat = (np.arange(rows)[:, None] * count + codes).ravel()
    return np.bincount(flat, influence.ravel(), rows * count).reshape(rows, count) * (count / n)


def checked(predictions: Array, scores: ArrayLike, units: ArrayLike | None = None) -> tuple[Array, Array, Index]:
    """Finite predictions (R, n) and scores (n,), and each image's unit as a number 0…N-1; else ValueError."""
    y = np.asarray(scores, dtype=np.float64)
    if predictions.ndim != 2 or y.ndim != 1 or predictions.shape[1] != len(y) or not predictions.size:
        raise ValueError(
            f"predictions are one row a model and one column an image, and scores one number an image; "
            f"shapes {predictions.shape} and {y.shape} do not fit together"
        )
    for name, values in (("predictions", predictions), ("scores", y)):
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise ValueError(f"{bad} of {values.size} {name} are not finite numbers: leave these images out first")
    if units is None:
        return predictions, y, np.arange(len(y))
    labels = np.asarray(units)
    if labels.shape != y.shape:
        raise ValueError(f"units name the group of each image: shape {labels.shape} does not fit {len(y)} images")
    return predictions, y, np.unique(labels, return_inverse=True)[1]
