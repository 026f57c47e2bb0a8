"""Two runs side by side: what differs in config, data, code, environment and metrics."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iqa.report.evidence import Fetch, Row
from iqa.report.setup import ENVIRONMENT

CODE = ("git.commit", "git.dirty", "cell", "cell.inputs", "experiment.hash", "iqa.command")


def differences(one: Row, other: Row, fetch: Fetch) -> Iterator[str]:
    """Sentences by kind; what is equal is counted, not listed."""
    yield f"{one.name or one.run_id} ({one.run_id}) and {other.name or other.run_id} ({other.run_id})"
    yield from _section("config", one.params, other.params)
    tags = [{k: v for k, v in row.tags.items() if k in CODE or k.startswith("machine.")} for row in (one, other)]
    yield from _section("code and machine", *tags)
    yield from _section("environment", *(_packages(row, fetch) for row in (one, other)))
    yield from _section("metrics", one.metrics, other.metrics)


def _section(title: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    names: Sequence[str] = sorted({*one, *other})
    unequal = [name for name in names if not _equal(one.get(name), other.get(name))]
    yield f"{title}: {len(unequal)} of {len(names)} differ"
    for name in unequal:
        sides = [_shown(side.get(name)) for side in (one, other)]
        gap = _gap(one.get(name), other.get(name))
        yield f"  {name}: {sides[0]} → {sides[1]}{gap}"


def _packages(row: Row, fetch: Fetch) -> dict[str, str]:
    try:
        lines = fetch(row.run_id, ENVIRONMENT).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}  # a run that ended before it left one
    heads = {f"platform {at}": line.removeprefix("# ") for at, line in enumerate(lines) if line.startswith("#")}
    return heads | dict(line.split("==", 1) for line in lines if "==" in line)


def _equal(a: Any, b: Any) -> bool:
    both = isinstance(a, float) and isinstance(b, float)
    return a == b or (both and math.isnan(a) and math.isnan(b))


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    return f"{value:.6g}" if isinstance(value, float) else str(value) or "(empty)"


def _gap(a: Any, b: Any) -> str:
    if not (isinstance(a, float) and isinstance(b, float)) or math.isnan(a) or math.isnan(b):
        return ""
    return f" ({b - a:+.6g})"
