"""What can these seeds and sets decide? Power and the smallest detectable difference, before anything is run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .crossed import Contrast, satterthwaite, total_variance
from .verdict import trusted


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a paired difference: of seed pairs (SRCC), of units' influence, of what is left.

    `seeds`: of the expected difference over seed pairs; `units`: over units, of the influence's mean over many
    seeds; `residual`: of unit and seed together. One unit's influence is of the order of 1, a seed's of 0.01.
    """

    seeds: float
    units: float
    residual: float


# Assumptions, until two seeds of one arm have been run. units: a paired 95% half-width of ±.0036 on KonIQ's 2,015 test
# images, that is .0036 / 1.96 * sqrt(2015) = .082.
ASSUMED = Spread(seeds=0.003, units=0.082, residual=0.12)


@dataclass(frozen=True)
class Plan:
    """Expected variance of the mean difference, and the degrees of freedom that its t will have."""

    variance: float
    df: float


def spread_of(contrast: Contrast) -> Spread:
    """What a finished contrast of one set tells about the spreads: unbiased components, cut off at 0."""
    if contrast.parts or contrast.S < 2 or contrast.N < 2 or math.isnan(contrast.V_e):
        raise ValueError("the spreads are read from the contrast of one set with at least two seed pairs and two units")
    s, n = contrast.S, contrast.N
    residual = contrast.V_e * s * n
    seeds = max(contrast.V_s * s - residual / n, 0.0)
    units = max(contrast.V_i * n - residual / s, 0.0)
    return Spread(math.sqrt(seeds), math.sqrt(units), math.sqrt(residual))


def planned(spreads: Sequence[Spread], units: Sequence[int], pairs: int) -> Plan:
    """Expected V and the marks' df of the macro mean over sets with these spreads and unit counts; one set: [one].

    The sets share their models: the mean of the `seeds` is taken as if a good seed were good on all of them.
    """
    if pairs < 2 or not units or len(units) != len(spreads) or min(units) < 2:
        raise ValueError(f"power needs two seed pairs and two units a set, not {pairs} pairs and units {list(units)}")
    k = len(units)
    interaction = [spread.residual**2 / (pairs * n) / k**2 for spread, n in zip(spreads, units, strict=True)]
    v_e = sum(interaction)
    v_s = (sum(spread.seeds for spread in spreads) / k) ** 2 / pairs + v_e
    by_set = [(spread.units**2 / n / k**2 + e, n) for spread, n, e in zip(spreads, units, interaction, strict=True)]
    v = total_variance(v_s, sum(v_i for v_i, _ in by_set), v_e)
    return Plan(v, trusted(satterthwaite(v, v_s, pairs, by_set), pairs) if v > 0 else math.inf)


def power(delta: float, plan: Plan, alpha: float = 0.05) -> float:
    """Probability that a true difference of `delta` is found (two-sided t, noncentral).

    With four claims alpha = .05/4 is Holm's first, hardest step.
    """
    from scipy.stats import nct, t

    if plan.variance <= 0:
        return 1.0 if delta else alpha
    shift = abs(delta) / math.sqrt(plan.variance)
    limit = float(t.ppf(1 - alpha / 2, plan.df))
    above = float(nct.sf(limit, plan.df, shift))
    below = float(nct.cdf(-limit, plan.df, shift))
    return min(1.0, above + (0.0 if math.isnan(below) else below))


def minimum_detectable(plan: Plan, alpha: float = 0.05, wanted: float = 0.8) -> float:
    """The smallest true difference that is found with probability `wanted`."""
    from scipy.optimize import brentq

    if not alpha < wanted < 1:
        raise ValueError(f"the wanted power lies between alpha = {alpha} and 1, not at {wanted}")
    if plan.variance <= 0:
        return 0.0
    error = math.sqrt(plan.variance)
    reach = error
    while power(reach, plan, alpha) < wanted:
        reach *= 2
    return float(brentq(lambda delta: power(delta, plan, alpha) - wanted, 0.0, reach, xtol=error * 1e-6))
