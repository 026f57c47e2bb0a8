"""What a command takes beyond its imports: a first process tells which modules it brings in, a second begins with them.

python -m benchmarks.beyond report --experiment=demo    # of an entry point, in the working directory
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def seconds(folder: Path, name: str, *words: str) -> float:
    """Of the entry point `name` in a folder, started anew; a first call of it, which is not timed, fills its caches."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as told:
        for _ in range(2):
            command = [sys.executable, "-m", "benchmarks.beyond", "--told", told.name, name, *words]
            subprocess.run(command, check=True, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
        return float(json.loads(Path(told.name).read_text(encoding="utf-8"))["seconds"])


def environment() -> dict[str, str]:
    """Of a process that works in another folder."""
    return os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}


def call(told: Path, name: str, words: list[str]) -> int:
    """The entry point, after the modules that an earlier call has brought in; how long it took, and its modules."""
    text = told.read_text(encoding="utf-8")
    for module in json.loads(text)["modules"] if text else []:
        with contextlib.suppress(ImportError):  # of names that others put there by hand
            importlib.import_module(module)
    began = time.perf_counter()
    code = importlib.import_module(f"entrypoints.{name}").main(words)
    took = time.perf_counter() - began
    told.write_text(json.dumps({"seconds": took, "modules": sorted({*sys.modules} - {"__main__"})}), encoding="utf-8")
    return int(code)


def main() -> int:
    """Print how long it takes."""
    if sys.argv[1] == "--told":
        return call(Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
    print(f"{sys.argv[1]}: {seconds(Path.cwd(), *sys.argv[1:]):.2f} s beyond its imports")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
