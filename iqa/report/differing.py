"""Two runs or experiments side by side: what differs in declaration, config, data, code, environment and metrics."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iqa.report.bundle import EXPERIMENT
from iqa.report.evidence import Fetch, Row
from iqa.report.setup import ENVIRONMENT
from iqa.tracking import SYSTEM

CODE = ("git.commit", "git.dirty", "cell", "cell.inputs", "experiment.hash", "iqa.command")
DATA = ("data.", "targets.")  # begin the fields that say what the data are
VALIDATED = "validation"  # tag: protocol and digest of the part that chose the epoch
DECLARED = (
    *("title", "preset", "declaration", "arms", "groups", "seeds", "folds", "resplit", "contrasts", "claims"),
    *("ablations", "data", "targets"),
)


def differences(one: Row, other: Row, fetch: Fetch) -> Iterator[str]:
    """Sentences by kind; what is equal is counted, not listed."""
    yield f"{one.name or one.run_id} ({one.run_id}) and {other.name or other.run_id} ({other.run_id})"
    declared = [_declared(row, fetch) for row in (one, other)]
    if any(declared):
        yield from _section("declaration", *declared)
    yield from _section("config", *({k: v for k, v in row.params.items() if not _of_data(k)} for row in (one, other)))
    yield from _section("data", *(_data(row) for row in (one, other)))
    tags = [{k: v for k, v in row.tags.items() if k in CODE or k.startswith("machine.")} for row in (one, other)]
    yield from _section("code and machine", *tags)
    yield from _section("environment", *(_packages(row, fetch) for row in (one, other)))
    told = [{k: v for k, v in row.metrics.items() if not k.startswith(SYSTEM)} for row in (one, other)]
    yield from _section("metrics", *told)


def _section(title: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    names: Sequence[str] = sorted({*one, *other})
    unequal = [name for name in names if not _equal(one.get(name), other.get(name))]
    yield f"{title}: {len(unequal)} of {len(names)} differ"
    for name in unequal:
        sides = [_shown(side.get(name)) for side in (one, other)]
        gap = _gap(one.get(name), other.get(name))
        yield f"  {name}: {sides[0]} → {sides[1]}{gap}"


def _of_data(field: str) -> bool:
    return field.startswith(DATA)


def _data(row: Row) -> dict[str, str]:
    """What a run says of its data: where they are, how they are split, the digest of what it was validated on."""
    told = {VALIDATED: row.tags[VALIDATED]} if VALIDATED in row.tags else {}
    return {k: v for k, v in row.params.items() if _of_data(k)} | told


def _declared(row: Row, fetch: Fetch) -> dict[str, Any]:
    """What an experiment's report says that it declares, by dotted name; of another run nothing."""
    try:
        told = json.loads(fetch(row.run_id, f"report/{EXPERIMENT}").read_bytes())
    except (OSError, ValueError):
        return {}
    return dict(_flat({name: told[name] for name in DECLARED if name in told}))


def _flat(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value of dicts and lists with its dotted name."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield from _flat(value, f"{name}.{key}" if name else str(key))
    if not isinstance(node, dict | list):
        yield name, node


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
