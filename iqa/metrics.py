"""Agreement between predicted and given scores: arrays (n,) in, floats out.

What cannot be computed is `nan`, never 0, and `undefined` says why in a sentence. Inputs that hold NaN or infinity
are refused. Ties get midranks (SRCC) or count for neither order (KRCC, tau-b), as in SciPy.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
FARTHEST = 16  # errors that are worth a look

_FEWEST = 3  # two points always correlate perfectly
_FEWEST_LOGISTIC = 5  # four parameters pass through four points
_CALLS = 5000  # of the logistic, before a fit counts as not converged


@dataclass(frozen=True)
class Fit:
    """PLCC after the 4-parameter logistic, and how far the fit may be trusted.

    `parameters` are (b1, b2, b3, b4) of b2 + (b1 - b2) / (1 + exp(-(x - b3) / b4)) with b4 > 0 in the predictions'
    unit; empty where there is no fit. `inverted`: the raw correlation is negative, which the fit turns positive.
    """

    value: float
    converged: bool
    inverted: bool
    parameters: tuple[float, ...] = ()


def srcc(predictions: ArrayLike, scores: ArrayLike) -> float:
    """Spearman's rank correlation, midranks for ties; in [-1, 1], nan where `undefined`."""
    from scipy.stats import spearmanr

    return _correlation(lambda x, y: spearmanr(x, y).statistic, predictions, scores)


def krcc(predictions: ArrayLike, scores: ArrayLike) -> float:
    """Kendall's tau-b; in [-1, 1], nan where `undefined`."""
    from scipy.stats import kendalltau

    return _correlation(lambda x, y: kendalltau(x, y).statistic, predictions, scores)


def plcc(predictions: ArrayLike, scores: ArrayLike) -> float:
    """Pearson's correlation of the raw predictions; in [-1, 1], nan where `undefined`."""
    from scipy.stats import pearsonr

    return _correlation(lambda x, y: pearsonr(x, y).statistic, predictions, scores)


def rmse(predictions: ArrayLike, scores: ArrayLike) -> float:
    """Root mean square error in the scores' unit; nan for no images at all."""
    x, y = _checked(predictions, scores)
    return float(np.sqrt(np.mean((x - y) ** 2))) if len(x) else math.nan


def plcc_logistic(predictions: ArrayLike, scores: ArrayLike) -> Fit:
    """Pearson's correlation after a monotone 4-parameter logistic (VQEG 2003, least squares).

    A fit that does not end has value nan; one whose parameters the data do not determine (a straight line, a step)
    keeps its value with `converged` False.
    """
    x, y = _checked(predictions, scores)
    if _why(x, y) or len(x) < _FEWEST_LOGISTIC:
        return Fit(math.nan, False, False)
    raw = plcc(x, y)
    inverted = raw < 0
    # standardised, so that the start and the tolerances suit any unit
    centre, spread, low, height = x.mean(), x.std(), y.min(), np.ptp(y)
    fitted = _least_squares((x - centre) / spread, (y - low) / height, inverted)
    if fitted is None:
        return Fit(math.nan, False, inverted)
    (b1, b2, b3, b4), determined = fitted
    parameters = (low + height * b1, low + height * b2, centre + spread * b3, spread * abs(b4))
    mapped = logistic(x, *parameters)
    value = plcc(mapped, y) if np.ptp(mapped) > 0 else math.nan
    return Fit(value, determined and not math.isnan(value), inverted, tuple(float(b) for b in parameters))


def logistic(x: Array, b1: float, b2: float, b3: float, b4: float) -> Array:
    """b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|)): (n,) → (n,), between b2 and b1."""
    from scipy.special import expit

    return b2 + (b1 - b2) * expit((x - b3) / max(abs(b4), 1e-12))


def summary(predictions: ArrayLike, scores: ArrayLike) -> dict[str, float]:
    """All metrics by the names that runs and reports use: srcc krcc plcc plcc_logistic rmse n."""
    x, y = _checked(predictions, scores)
    return {
        "srcc": srcc(x, y),
        "krcc": krcc(x, y),
        "plcc": plcc(x, y),
        "plcc_logistic": plcc_logistic(x, y).value,
        "rmse": rmse(x, y),
        "n": float(len(x)),
    }


def farthest_off(predictions: ArrayLike, scores: ArrayLike) -> list[int]:
    """Places of the FARTHEST largest errors, the largest first; of equal ones the first."""
    x, y = _checked(predictions, scores)
    return np.argsort(-np.abs(x - y), kind="stable")[:FARTHEST].tolist()


def undefined(predictions: ArrayLike, scores: ArrayLike) -> str:
    """Why the correlations are nan, as a sentence; empty where they are defined."""
    return _why(*_checked(predictions, scores))


def _why(x: Array, y: Array) -> str:
    if len(x) < _FEWEST:
        return f"A correlation needs at least {_FEWEST} images; here there are {len(x)}."
    for name, values in (("predictions", x), ("scores", y)):
        if _constant(values):
            return f"All {len(values)} {name} are {values[0]:.6g}: a constant has no correlation with anything."
    return ""


def _constant(values: Array) -> bool:
    """Equal up to rounding, by the measure at which scipy.stats.pearsonr stops vouching for its result."""
    return bool(np.ptp(values) <= 1e-13 * abs(values.mean()))


def _checked(predictions: ArrayLike, scores: ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(predictions, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"predictions and scores are two lists of one length, not of shapes {x.shape} and {y.shape}")
    for name, values in (("predictions", x), ("scores", y)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise ValueError(
                f"{len(bad)} of {len(values)} {name} are not finite numbers (the first is {values[bad[0]]} at position "
                f"{bad[0]}): leave these images out, or repair what predicted them"
            )
    return x, y


def _correlation(statistic: Callable[[Array, Array], float], predictions: ArrayLike, scores: ArrayLike) -> float:
    x, y = _checked(predictions, scores)
    return math.nan if _why(x, y) else float(statistic(x, y))


def _least_squares(x: Array, y: Array, inverted: bool) -> tuple[Array, bool] | None:
    """Four parameters and whether the data determine them; None where the search does not end."""
    from scipy.optimize import OptimizeWarning, curve_fit

    start = [0.0, 1.0, 0.0, 0.5] if inverted else [1.0, 0.0, 0.0, 0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # it says what the infinite covariance says
        try:
            found, covariance = curve_fit(logistic, x, y, p0=start, maxfev=_CALLS)
        except RuntimeError:  # curve_fit's word for "no convergence"
            return None
    return found, bool(np.isfinite(covariance).all()) and len(np.unique(x)) >= 4  # unknowns need as many places
