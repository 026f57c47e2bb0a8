"""From contrasts to marks: Holm's correction, composite claims, and the four words of the verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .crossed import Contrast

BETTER, SMALL, WORSE, EQUIVALENT, OPEN = "✓", "✓ small", "✗", "≈", "?"
ALPHA = 0.05  # family-wise, two-sided, over the claims of one experiment
SMALL_BELOW = 0.003  # of SRCC
MARGIN_KONIQ = 0.007  # equivalence: the unpaired half-width of an SRCC of .93 on 2,015 images
MARGIN_ACROSS = 0.015  # the same for the mean over the three cross sets
FEWEST_PAIRS = 3
FEW_PAIRS = 6  # below: the marks trust no more degrees of freedom than TRUSTED for each of the seeds' own
TRUSTED = 2


@dataclass(frozen=True)
class Part:
    """One contrast of a claim. `margin` and `small` are in the contrast's unit; None: the mark does not apply.

    Epochs are no SRCC: a claim about them has neither.
    """

    contrast: Contrast
    margin: float | None = MARGIN_KONIQ
    small: float | None = SMALL_BELOW


def claim_p(parts: Sequence[Part]) -> float:
    """The p of a claim is the largest of its parts'; nan if one of them is undefined."""
    if not parts:
        raise ValueError("a claim needs at least one contrast; declare what it compares")
    return float(np.max([marking_p(part.contrast) for part in parts]))


def marking_p(contrast: Contrast) -> float:
    """The p that marks are made from: the contrast's own from six seed pairs on, a more cautious one below.

    Satterthwaite's degrees of freedom are largest exactly where few seeds happen to agree, and then the error is
    smallest too: at three pairs a family of four true null claims got a false ✓ in up to 7.3% of cases (seeds' part
    8 to 16 times the units'). At most 2(S - 1) degrees of freedom keep it below 5% at every ratio; see
    docs/statistics-simulation.md.
    """
    from scipy.stats import t

    most = trusted(contrast.df, contrast.S)
    if math.isnan(contrast.p) or most >= contrast.df or contrast.variance <= 0:
        return contrast.p
    return float(2 * t.sf(abs(contrast.delta) / math.sqrt(contrast.variance), most))


def trusted(df: float, pairs: int) -> float:
    """The degrees of freedom that marks of `pairs` seed pairs may rest on."""
    return min(df, TRUSTED * (pairs - 1)) if 1 < pairs < FEW_PAIRS else df


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given.

    An undefined p (nan) stays nan and counts in the family, as if it were 1: a missing cell helps no other claim.
    """
    p = np.asarray(ps, dtype=np.float64)
    if not bool(np.all(np.isnan(p) | ((p >= 0) & (p <= 1)))):
        raise ValueError(f"p values lie in [0, 1] or are nan, not {list(ps)}")
    filled = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(filled, kind="stable")
    steps = np.maximum.accumulate(filled[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    adjusted[np.isnan(p)] = np.nan
    return [float(value) for value in adjusted]


def mark(parts: Sequence[Part] | Part, p_adjusted: float, guards: Sequence[Contrast] = ()) -> str:
    """The mark of a claim, in this order: ✓ (or "✓ small"), ✗, ≈, else ?.

    Of several parts all must point the same way for ✓ or ✗, and each be inside its own margin for ≈; the smallest
    decides "small". Fewer than three seed pairs are always ?. `guards`: contrasts (the single sets) of which none
    may lie wholly below 0 for ✓.
    """
    parts = (parts,) if isinstance(parts, Part) else tuple(parts)
    contrasts = [part.contrast for part in parts]
    assert contrasts, "a claim without parts has no p either"
    if min(c.S for c in contrasts) < FEWEST_PAIRS or any(math.isnan(c.delta) for c in contrasts):
        return OPEN
    significant = p_adjusted < ALPHA
    if significant and all(c.delta > 0 for c in contrasts) and not any(guard.high < 0 for guard in guards):
        return SMALL if any(_small(part) for part in parts) else BETTER
    if significant and all(c.delta < 0 for c in contrasts):
        return WORSE
    return EQUIVALENT if all(_equivalent(part) for part in parts) else OPEN


def _small(part: Part) -> bool:
    return part.small is not None and part.contrast.delta < part.small


def _equivalent(part: Part) -> bool:
    c = part.contrast
    return part.margin is not None and -part.margin < c.low and c.high < part.margin
