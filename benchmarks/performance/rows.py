"""What a measure found: a row with what was to be reached; kept as JSON under benchmarks/results/performance/."""

import datetime
import json
import os
import re
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from iqa import machine, tracking

FOLDER = Path(__file__).resolve().parents[1] / "results" / "performance"
REACH = re.compile(r"([≥≤]) (-?[\d.]+)( .+)?")  # "≥ 0.95", "≤ 2 ms"
TICKS = os.sysconf("SC_CLK_TCK")  # a second, of /proc/stat


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, what it had to reach, and what it was made from."""

    measure: str
    value: float  # in the unit that `reach` names
    reach: str
    about: str = ""

    def __post_init__(self) -> None:
        if not REACH.fullmatch(self.reach):
            raise ValueError(f"what {self.measure} has to reach is written '≥ 0.95' or '≤ 2 ms', not '{self.reach}'.")

    @property
    def ok(self) -> bool:
        """Whether it is reached; a figure that is no number is not."""
        sign, bound = self._parts()[:2]
        return self.value >= float(bound) if sign == "≥" else self.value <= float(bound)

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return f"{self.value:.3g}{self._parts()[2]}"

    def __str__(self) -> str:
        said = f"{self.measure}: {self.shown} ({self.reach}: {'reached' if self.ok else 'MISSED'})"
        return f"{said}; {self.about}" if self.about else said

    def _parts(self) -> tuple[str, str, str]:
        found = REACH.fullmatch(self.reach)
        assert found is not None, self.reach
        return found[1], found[2], found[3] or ""


def printed(rows: Iterable[Row]) -> Iterator[Row]:
    """The same rows, a line each as they come."""
    for row in rows:
        print(row, flush=True)
        yield row


def save(name: str, rows: list[Row], others: float, folder: Path = FOLDER) -> None:
    """Write a command's rows, in the place of those before; others: what other processes took of the processor."""
    told, tags = machine.describe(), tracking.provenance.commit_tags()
    made = {
        "device": f"{told['cpu']}, {told['cores']} cores" + (f", {told['gpu']}" if told["gpus"] else ""),
        "torch": told["torch"],
        "date": datetime.date.today().isoformat(),
        "commit": tags.get("git.commit", "unknown") + ("+" if tags.get("git.dirty") == "true" else ""),
        "others": round(others, 3),
    }
    folder.mkdir(parents=True, exist_ok=True)
    lines = [asdict(row) | {"value": float(f"{row.value:.6g}"), "ok": row.ok} | made for row in rows]
    text = json.dumps(lines, indent=1, ensure_ascii=False) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8")


def load(name: str, folder: Path = FOLDER) -> list[dict[str, object]]:
    """A command's rows as they were saved; [] where it has not run."""
    file = folder / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []


@contextmanager
def disturbance() -> Iterator[list[float]]:
    """Around a measurement: the share of the processor that others used; 0 where the system does not say."""
    found = [0.0]
    began, before = time.monotonic(), _busy() - _own()
    yield found
    span = (time.monotonic() - began) * (os.cpu_count() or 1)
    found[0] = max(0.0, (_busy() - _own() - before) / span)


def _busy() -> float:
    """Seconds of all processors that were not idle since the start."""
    file = Path("/proc/stat")
    if not file.is_file():
        return _own()
    user, nice, system, _, _, irq, soft, steal = map(int, file.read_text().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICKS


def _own() -> float:
    """Seconds of processor time of this process and of those of its own that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
