"""Reading runs back from their journals and folders on this disk, for where no tracking store is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iqa.tracking import folders, journal, store
from iqa.tracking.sending import OF_RUN


@dataclass(frozen=True)
class RunRow:
    """A run as a row. params: the resolved config by dotted name; metrics: last values; start, end: ms since 1970.

    artifacts: the address under which the store has its files, "" offline.
    """

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    start: int
    end: int | None
    experiment_id: str
    parent: str
    artifacts: str = ""


def rows(experiment: str = "", *, status: str = "", tags: Mapping[str, str] | None = None) -> list[RunRow]:
    """Those of this disk's runs, whatever their experiment, that have this status and these tags, newest first."""
    found = {folder: told(folder) for folder in folders.every()}
    ids = {name: one.run_id for folder, one in found.items() for name in folders.names(folder)}
    wanted = (tags or {}).items()
    kept = [
        replace(one, parent=ids.get(one.parent, one.parent))
        for one in found.values()
        if one.tags.get("stage") and status in ("", one.status) and wanted <= one.tags.items()
    ]
    return sorted(kept, key=lambda one: one.start, reverse=True)


def row(run_id: str) -> RunRow:
    """One run. Raises StoreError if no folder here is its."""
    return told(folder_of(run_id))


def histories(run_ids: Sequence[str], key: str) -> dict[str, list[tuple[int, float]]]:
    """`history` of many runs."""
    return {run_id: history(run_id, key) for run_id in run_ids}


def history(run_id: str, key: str) -> list[tuple[int, float]]:
    """Every (step, value) of a metric, by step."""
    written = (entry for entry in journal.entries(folder_of(run_id)) if entry["what"] == "metrics")
    return sorted((entry["step"], entry["values"][key]) for entry in written if key in entry["values"])


def fetch(run_id: str, artifact_path: str) -> Path:
    """A run's artifact where it lies in the run's folder, or where it was taken from."""
    folder = folder_of(run_id)
    sent = {one["to"]: journal.artifact_of(folder, one) for one in journal.entries(folder) if one["what"] == "artifact"}
    wanted = Path(artifact_path)
    for place in (wanted, *wanted.parents):
        found = sent.get(str(place), folder / place) / wanted.relative_to(place)
        if found.exists() and str(place) != ".":
            return found
    has = f"it has {', '.join(sorted(sent))}" if sent else "it has none"
    raise store.StoreError(f"Run {run_id} in {folder} has no artifact '{artifact_path}': {has}.")


def logged_model(run_id: str) -> str:
    """What stands for the LoggedModel that a run here left, or is to leave when it is sent; "" if none."""
    folder = folders.find(run_id)
    left = folder is not None and any(entry["what"] == "model" for entry in journal.entries(folder))
    return f"{OF_RUN}{run_id}" if left else ""


def url(run_id: str) -> str:
    """The address of a run's folder."""
    return folder_of(run_id).absolute().as_uri()


def folder_of(run_id: str) -> Path:
    """The folder of a run. Raises StoreError if there is none here."""
    folder = folders.find(run_id)
    if folder is None:
        raise store.StoreError(
            f"The run {run_id} is not in {folders.runs_folder().absolute()}, and offline nothing else is looked at: "
            "leave offline=true out, or set IQA_RUNS to the folder that has it."
        )
    return folder


def told(folder: Path) -> RunRow:
    """What a folder's journal says of its run."""
    entries = list(journal.entries(folder))
    begin = entries[0]
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    values: dict[str, tuple[int, int, float]] = {}
    joined: dict[str, str] = {}
    for entry in entries:
        what = entry["what"]
        if what == "params":
            params |= {name.removeprefix(store.PREFIX): value for name, value in entry["values"].items()}
        elif what == "tags":
            tags |= entry["values"]
        elif what == "metrics":
            new = {name: (entry["step"], entry["time"], value) for name, value in entry["values"].items()}
            values |= {name: one for name, one in new.items() if one[:2] >= values.get(name, (0, 0))[:2]}
        elif what == "joined":
            joined = entry
        elif what == "resumed":
            tags = {name: value for name, value in tags.items() if name not in store.SET_ANEW}
    last = next(entry for entry in reversed(entries) if entry["what"] != "joined")
    return RunRow(
        run_id=joined.get("run") or begin["id"],
        name=begin["name"],
        status=last["status"] if last["what"] == "end" else "RUNNING",
        params=params,
        tags=tags,
        metrics={name: one[2] for name, one in values.items()},
        start=begin["time"],
        end=last["time"] if last["what"] == "end" else None,
        experiment_id=joined.get("experiment", ""),
        parent=begin["parent"] or "",
    )
