"""What a command takes beyond its imports: a first process tells which modules it brings in, a second begins with them.

python -m benchmarks.beyond report --experiment=demo    # of an entry point, in the working directory
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.warm import warm

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Taken:
    """Seconds; of the processor those of this command alone, whatever else the machine does."""

    seconds: float
    processor: float


def taken(folder: Path, work: str, *words: str) -> Taken:
    """By `work` (MODULE:FUNCTION) in a process of its own; a first call of it, which is not timed, fills its caches."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as told:
        for _ in range(2):
            command = [sys.executable, "-m", "benchmarks.beyond", "--told", told.name, work, *words]
            subprocess.run(command, check=True, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
        return Taken(**json.loads(Path(told.name).read_text(encoding="utf-8"))["taken"])


def environment() -> dict[str, str]:
    """Of a process that works in another folder."""
    return os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}


def call(told: Path, work: str, words: list[str]) -> int:
    """Do the work after importing what an earlier call has brought in; leave how long it took, and its modules."""
    text = told.read_text(encoding="utf-8")
    if text:
        warm(json.loads(text)["modules"])
    module, _, function = work.partition(":")
    began, before = time.perf_counter(), time.process_time()
    code = getattr(importlib.import_module(module), function)(words)
    took = {"seconds": time.perf_counter() - began, "processor": time.process_time() - before}
    told.write_text(json.dumps({"taken": took, "modules": sorted({*sys.modules} - {"__main__"})}), encoding="utf-8")
    return int(code)


def main() -> int:
    """Print how long it takes."""
    if sys.argv[1] == "--told":
        return call(Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
    found = taken(Path.cwd(), f"entrypoints.{sys.argv[1]}:main", *sys.argv[2:])
    print(f"{sys.argv[1]}: {found.seconds:.2f} s beyond its imports, {found.processor:.2f} s of the processor")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
