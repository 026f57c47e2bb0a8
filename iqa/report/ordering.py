"""The order in which a report names runs: by what they are, so that it does not depend on what ran beside them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from iqa import config

if TYPE_CHECKING:
    from iqa.report.evidence import Row

STAGES = tuple(config.STAGES)


def ranked(rows: Iterable["Row"], arms: Sequence[str]) -> list["Row"]:
    """By stage, arm, seed and fold, what else there is last; runs of one place from the oldest to the newest.

    When a run began depends on how many are computed at once, and on outages; the store's order on the store.
    """

    def place(row: "Row") -> tuple[int, int, int, str, int, str]:
        stage, arm, seed, fold = (str(row.tags.get(kind, "")) for kind in ("stage", "arm", "seed", "fold"))
        return (
            STAGES.index(stage) if stage in STAGES else len(STAGES),
            arms.index(arm) if arm in arms else len(arms),
            int(seed) if seed.isdecimal() else -1,
            fold,
            row.start or 0,
            row.run_id,
        )

    return sorted(rows, key=place)


def newest_first(rows: Iterable["Row"]) -> list["Row"]:
    """By when they began."""
    return sorted(rows, key=lambda row: (row.start or 0, row.run_id), reverse=True)
