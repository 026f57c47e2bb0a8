"""Is one arm better than the other? Mean paired difference of SRCC with seeds and units as crossed factors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .ranks import Array, checked, per_unit, spearman_rows

NAN = math.nan
_ZERO = 1e-12  # differences of correlations below this are rounding


@dataclass(frozen=True)
class Contrast:
    """A difference (positive: the treatment is better), its 95% interval and two-sided p, and what they rest on.

    V_s, V_i, V_e: the variance of `delta` that seeds, units and their interaction show (product of sd and 1/count);
    S seed pairs, N units. Undefined parts are nan, and `why` is the sentence that a reader needs.
    """

    delta: float
    low: float
    high: float
    p: float
    df: float
    per_seed: tuple[float, ...]
    V_s: float
    V_i: float
    V_e: float
    S: int
    N: int
    why: str = ""
    parts: tuple["Contrast", ...] = ()

    @property
    def variance(self) -> float:
        """Variance of `delta`: V_s and V_i each hold the interaction once, so it is taken out once."""
        return total_variance(self.V_s, self.V_i, self.V_e)


def crossed(treatment: ArrayLike, baseline: ArrayLike, scores: ArrayLike, units: ArrayLike | None = None) -> Contrast:
    """Mean over seed pairs of SRCC(treatment) - SRCC(baseline) on one set.

    treatment, baseline (S, n): row s of both is one pair of training runs; scores (n,); units (n,): what was sampled
    (image, reference, prompt), images if None. Variance components from the Spearman influences, summed by unit;
    Satterthwaite's t. With one pair the interval is over units alone, and `why` says so.
    """
    t, y, codes = checked(np.atleast_2d(np.asarray(treatment, dtype=np.float64)), scores, units)
    b, _, _ = checked(np.atleast_2d(np.asarray(baseline, dtype=np.float64)), scores, units)
    if t.shape != b.shape:
        raise ValueError(f"{len(t)} treatment runs cannot be paired with {len(b)} baseline runs: give one row a pair")
    rho_t, influence_t = spearman_rows(t, y)
    rho_b, influence_b = spearman_rows(b, y)
    per_seed = rho_t - rho_b
    count = int(codes.max()) + 1
    if np.isnan(per_seed).any():
        bad = int(np.isnan(per_seed).sum())
        why = f"In {bad} of {len(per_seed)} pairs a model's predictions, or the scores, are constant: no SRCC."
        return _undefined(per_seed, count, why)
    u = per_unit(influence_t - influence_b, codes)
    return _contrast(per_seed, *_unit_components(u), N=count)


def _unit_components(u: Array) -> tuple[float, float]:
    """V_i = var_i(mean_s u)/N and V_e = residual mean square/(S·N) of u (S, N); nan where a factor has one level."""
    pairs, count = u.shape
    if count < 2:
        return math.nan, math.nan
    by_unit = u.mean(axis=0)
    v_i = float(by_unit.var(ddof=1)) / count
    if pairs < 2:
        return v_i, math.nan
    residual = u - by_unit - u.mean(axis=1, keepdims=True) + by_unit.mean()
    return v_i, float((residual**2).sum()) / ((pairs - 1) * (count - 1)) / (pairs * count)


def macro(contrasts: Sequence[Contrast]) -> Contrast:
    """The mean over K sets of the same S seed pairs: seeds are shared by the sets, units are not."""
    if not contrasts:
        raise ValueError("a macro average needs at least one set; declare the sets of this claim")
    pairs = {c.S for c in contrasts}
    if len(pairs) > 1:
        raise ValueError(f"the sets of a macro average share their seed pairs, but have {sorted(pairs)} of them")
    k2 = len(contrasts) ** 2
    per_seed = np.mean([c.per_seed for c in contrasts], axis=0)
    count = sum(c.N for c in contrasts)
    whys = [c.why for c in contrasts if math.isnan(c.delta)]
    if whys:
        return _undefined(per_seed, count, whys[0], tuple(contrasts))
    by_set = [(c.V_i / k2, c.N) for c in contrasts]
    v_e = sum(c.V_e for c in contrasts) / k2
    return _contrast(per_seed, sum(v for v, _ in by_set), v_e, count, by_set, tuple(contrasts))


def paired_t(differences: ArrayLike) -> Contrast:
    """The ordinary paired t over S differences (positive: better), as a contrast without units."""
    return _contrast(_finite(differences), 0.0, 0.0, 0)


def nadeau_bengio(differences: ArrayLike, n_train: float, n_test: float) -> Contrast:
    """Differences of J random re-splits, (J,): variance (1/J + n_test/n_train)·var, t with J - 1.

    The re-splits share training images, so their plain variance is too small (Nadeau and Bengio, Machine Learning
    2003). With several seeds a round, give each round's mean.
    """
    if not (n_train > 0 and n_test > 0):
        raise ValueError(f"a re-split has training and test images, not {n_train} and {n_test}")
    return _contrast(_finite(differences), 0.0, 0.0, 0, inflation=n_test / n_train)


def _finite(differences: ArrayLike) -> Array:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"differences are a list of finite numbers, one a pair; got {values.tolist()}")
    return values


def total_variance(v_s: float, v_i: float, v_e: float) -> float:
    """V = max(V_s + V_i - V_e, V_s, V_i); V_i alone with one seed pair, nan where no unit was repeated."""
    if math.isnan(v_s):
        return v_i
    return math.nan if math.isnan(v_i) else max(v_s + v_i - v_e, v_s, v_i)


def satterthwaite(v: float, v_s: float, pairs: int, by_set: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom V² / (V_s²/(S-1) + sum_k V_i,k²/(N_k-1)), the V_i,k already divided by K²."""
    spread = 0.0 if math.isnan(v_s) else v_s**2 / (pairs - 1)
    spread += sum(v_i**2 / (count - 1) for v_i, count in by_set if v_i > 0)
    return v**2 / spread


def _contrast(
    per_seed: Array,
    v_i: float,
    v_e: float,
    N: int,
    by_set: Sequence[tuple[float, int]] | None = None,
    parts: tuple[Contrast, ...] = (),
    inflation: float = 0.0,
) -> Contrast:
    pairs = len(per_seed)
    delta = float(per_seed.mean())
    v_s = float(per_seed.var(ddof=1)) * (1 / pairs + inflation) if pairs > 1 else math.nan
    v = total_variance(v_s, v_i, v_e) if pairs > 1 or N > 1 else math.nan
    shown = tuple(per_seed.tolist())
    why = _remark(delta, v, pairs, N)
    if v <= _ZERO**2 and abs(delta) <= _ZERO:
        return Contrast(0.0, 0.0, 0.0, 1.0, math.inf, shown, v_s, v_i, v_e, pairs, N, why, parts)
    if not v > _ZERO**2:
        return Contrast(delta, NAN, NAN, NAN, NAN, shown, v_s, v_i, v_e, pairs, N, why, parts)
    df = satterthwaite(v, v_s, pairs, by_set or [(v_i, N)])
    low, high, p = t_interval(delta, v, df)
    return Contrast(delta, low, high, p, df, shown, v_s, v_i, v_e, pairs, N, why, parts)


def t_interval(delta: float, v: float, df: float, level: float = 0.95) -> tuple[float, float, float]:
    """Low and high end of delta ± t·sqrt(V), and the two-sided p of delta = 0."""
    from scipy.stats import t

    error = math.sqrt(v)
    half = float(t.ppf((1 + level) / 2, df)) * error
    return delta - half, delta + half, float(2 * t.sf(abs(delta) / error, df))


def _remark(delta: float, v: float, pairs: int, N: int) -> str:
    if math.isnan(v):
        return "One seed pair, or one unit, says nothing about the spread: no interval."
    if v <= _ZERO**2:
        same = abs(delta) <= _ZERO
        return "The two arms do not differ at all." if same else "The differences do not vary at all: no interval."
    return "One seed pair: the interval is over units alone and says nothing about other seeds." if pairs == 1 else ""


def _undefined(per_seed: Array, N: int, why: str, parts: tuple[Contrast, ...] = ()) -> Contrast:
    shown = tuple(per_seed.tolist())
    return Contrast(NAN, NAN, NAN, NAN, NAN, shown, NAN, NAN, NAN, len(shown), N, why, parts)
