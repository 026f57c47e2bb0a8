"""What the console says of a stage at work: where its run is, then one line for each record."""

import multiprocessing
import time
from typing import Any

WORDS = {
    "train/loss": "loss",
    "val/ordering": "ordering",
    "val/srcc": "validation SRCC",
    "val/plcc": "PLCC",
    "cost/images_per_s": "images/s",
    "cost/data_wait": "data wait",
}


class Progress:
    """One line per record: what moved, how fast, how long still."""

    def __init__(self) -> None:
        self.title, self.first, self.began = "", 0, 0.0

    def __call__(self, cell: Any, page: str, number: int, record: dict[str, float]) -> None:
        """cell: whose record it is; page: where its run is shown; number: the epoch, or which target set, from 1 on."""
        total = int(record.get("epochs", records_of(cell.config)))
        if cell.title != self.title:
            self.title, self.first, self.began = cell.title, number, time.monotonic()
            print(f"{cell.title}: {page}", flush=True)
        lead = f"  {cell.title}  " if multiprocessing.parent_process() else "  "  # side by side with others
        words = [f"{word} {told(name, record[name])}" for name, word in WORDS.items() if name in record]
        words += [f"{name.removeprefix('test/')} {value:.4f}" for name, value in record.items() if final(name)]
        print(lead + "  ".join([f"{number}/{total}", *words, *self.left(number, total)]), flush=True)

    def left(self, number: int, total: int) -> list[str]:
        """How long still, from the second record on: the first one's beginning nobody saw."""
        done = number - self.first
        seconds = (time.monotonic() - self.began) / max(done, 1) * (total - number)
        return [f"{clock(seconds)} left"] if done and number < total else []


def told(name: str, value: float) -> str:
    """A share as a percentage, everything else in three digits."""
    return f"{value:.1%}" if name == "cost/data_wait" else f"{value:.3g}"


def clock(seconds: float) -> str:
    """90 → 1:30, 4000 → 1:06:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def final(name: str) -> bool:
    """Whether a metric is a whole test set's correlation."""
    return name.startswith("test/") and name.count("/") == 2 and name.endswith(("/srcc", "/plcc"))


def records_of(settings: Any) -> int:
    """How many records a stage with this config yields unless it stops early, or says another number itself."""
    return settings.optim.epochs if hasattr(settings, "optim") else len(settings.targets.names)
