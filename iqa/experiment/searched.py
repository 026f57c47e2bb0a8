"""Which studies chose an arm's values: found by the values themselves, whatever file or command carried them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iqa.config import FLAT
from iqa.experiment.matrix import Plan, places
from iqa.tracking import RunRow

Values = Mapping[str, Mapping[str, Any]]  # stage → field by its dotted name → value


def searched(plan: Plan, runs: Mapping[str, str], rows: Sequence[RunRow]) -> dict[str, list[dict[str, Any]]]:
    """{arm: its studies}, each by name, run, the trial whose values the arm has, and whether that is its best.

    runs: title of a place → its run; rows: every run of the store. A study counts once it has finished, a trial if it
    was completed, and all the values that it searched are the arm's.
    """
    by_id = {row.run_id: row for row in rows}
    values: dict[str, dict[str, Mapping[str, Any]]] = {arm: {} for arm in plan.experiment.arms}
    for place in places(plan):
        row = by_id.get(runs.get(place.title, ""))
        if row is not None:
            values[place.arm].setdefault(place.stage, row.params)
    trials = [row for row in rows if row.tags.get("stage") == "trial" and row.tags.get("trial.state") == "complete"]
    trials.sort(key=lambda row: int(row.tags.get("trial", 0)))
    return {arm: list(_studies(told, trials, by_id)) for arm, told in values.items()}


def _studies(arm: Values, trials: Sequence[RunRow], by_id: Mapping[str, RunRow]) -> Iterator[dict[str, Any]]:
    """One entry a study: its best trial where the arm has that one's values, else the first whose values it has."""
    found: dict[str, dict[str, Any]] = {}
    for trial in trials:
        study = by_id.get(trial.parent)
        if study is None or study.status != "FINISHED" or not _alike(trial.params, arm):
            continue
        best = trial.run_id == study.tags.get("best.run")
        if best or study.run_id not in found:
            told = {"study": study.tags.get("study", ""), "run": study.run_id, "arm": study.tags.get("arm", "")}
            found[study.run_id] = told | {"trial": int(trial.tags.get("trial", 0)), "best": best}
    yield from sorted(found.values(), key=lambda one: (one["study"], one["run"]))


def _alike(suggested: Mapping[str, Any], arm: Values) -> bool:
    """Whether an arm has every value of a trial; suggested: STAGE.FIELD → value, FIELD short or dotted."""
    parts = [(*name.partition(".")[::2], value) for name, value in suggested.items()]
    return bool(parts) and all(
        stage in arm and _same(arm[stage].get(FLAT.get(stage, {}).get(field, field)), value)
        for stage, field, value in parts
    )


def _same(ours: Any, theirs: Any) -> bool:
    """As params, which are text: 0.1 and 1e-1 are one number."""
    try:
        return float(ours) == float(theirs)
    except (TypeError, ValueError):
        return str(ours) == str(theirs)
