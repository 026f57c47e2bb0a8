"""Statistics of the verdict: crossed variance components, their companions, and the marks.

One file, one noun: `ranks` (Spearman, influence, interval), `crossed` (the contrast that decides), `verdict`
(Holm, marks), `epochs` (to a target), `power`, `raters` (the ceiling), `ridge` (probes of frozen features);
`bootstrap` and `pitman_morgan` stand beside. Every function raises ValueError, with a sentence, for shapes that do not
fit together, for what is not finite where it has to be, and for parameters out of range.
"""

from .bootstrap import Bootstrap, crossed_bootstrap, macro_bootstrap
from .crossed import Contrast, crossed, macro, nadeau_bengio, paired_t
from .epochs import EpochsToTarget, epochs_to_target
from .pitman_morgan import PitmanMorgan, pitman_morgan
from .power import ASSUMED, Plan, Spread, minimum_detectable, planned, power, spread_of
from .ranks import interval, srcc_influence
from .raters import Ceiling, rater_ceiling
from .ridge import Probe, probe, ridge
from .verdict import (
    ALPHA,
    FEWEST_PAIRS,
    MARGIN_ACROSS,
    MARGIN_KONIQ,
    OPEN,
    SMALL_BELOW,
    Part,
    claim_p,
    holm,
    mark,
    marking_p,
    trusted,
)

__all__ = [
    "ALPHA",
    "ASSUMED",
    "FEWEST_PAIRS",
    "MARGIN_ACROSS",
    "MARGIN_KONIQ",
    "OPEN",
    "SMALL_BELOW",
    "Bootstrap",
    "Ceiling",
    "Contrast",
    "EpochsToTarget",
    "Part",
    "PitmanMorgan",
    "Plan",
    "Probe",
    "Spread",
    "claim_p",
    "crossed",
    "crossed_bootstrap",
    "epochs_to_target",
    "holm",
    "interval",
    "macro",
    "macro_bootstrap",
    "mark",
    "marking_p",
    "minimum_detectable",
    "nadeau_bengio",
    "paired_t",
    "pitman_morgan",
    "planned",
    "power",
    "probe",
    "rater_ceiling",
    "ridge",
    "spread_of",
    "srcc_influence",
    "trusted",
]
