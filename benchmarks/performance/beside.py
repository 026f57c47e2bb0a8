"""The product's epochs and the bare loop's steps in turns: the ratio of their speeds, and of their memory."""

import statistics
import tempfile
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from benchmarks.performance import bare, product
from benchmarks.performance.conversation import Speaker
from benchmarks.performance.rows import Row

ALLOWED, MORE = 1.2, "≤ 200 MB"  # times the bare loop's peak memory, and as much beside it


@dataclass(frozen=True)
class Compared:
    """Speeds in images (fine-tuning and evaluation: crops) a second, peaks in MiB."""

    ratio: float
    product: float
    loop: float
    setting: bare.Setting
    peak: float
    bare_peak: float

    def speed(self, measure: str, reach: str) -> Row:
        """The row of the ratio."""
        about = f"{self.product:.2f} against {self.loop:.2f} images/s; bare loop: {self.setting}"
        return Row(measure, self.ratio, reach, about)

    def memory(self, measure: str) -> Row:
        """The row of the peak."""
        about = f"{self.peak:.0f} MB, the bare loop {self.bare_peak:.0f} MB"
        beyond = self.peak - ALLOWED * self.bare_peak
        return Row(f"{measure}, peak memory beyond {ALLOWED} × the bare loop's", beyond, MORE, about)


def compared(told: dict[str, Any], turns: int, setting: bare.Setting | None = None) -> Compared:
    """Each turn is an epoch of the product between as many images of the bare loop; the first epoch does not count.

    told: the stage, fields of its config, the bare loop's batch (images); setting: the bare loop's, else the best.
    """
    chosen = setting or bare.best(told)
    paces, loops = [], []
    with (
        tempfile.TemporaryDirectory(prefix="iqa-performance-") as folder,
        Speaker(product.NAME, told | {"folder": folder}) as stage,
        Speaker(bare.NAME, told | {"keep_memory": chosen.keep_memory}) as loop,
    ):
        loop.say(steps=1, **asdict(chosen))
        said = stage.say()
        steps = max(1, round(said["images"] / told["batch"]))
        lap = loop.say(steps=steps, **asdict(chosen))
        loops.append(steps * told["batch"] / lap["seconds"])
        for _ in range(turns):
            said = stage.say()
            paces.append(said["images"] / said["seconds"])
            lap = loop.say(steps=steps, **asdict(chosen))
            loops.append(steps * told["batch"] / lap["seconds"])
    around = [(before + after) / 2 for before, after in pairwise(loops)]
    ratio = statistics.median(pace / bare_pace for pace, bare_pace in zip(paces, around, strict=True))
    found = statistics.median(paces), statistics.median(loops)
    return Compared(ratio, *found, chosen, said["peak"], lap["peak"])
