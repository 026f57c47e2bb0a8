"""The journal: everything a run writes, on its disk before anything is sent; append-only JSON lines.

Each line is {"what": …, "time": ms since 1970, …}. The first says "begin" with the format number and all that creating
the run in a store needs; "joined" says which run of which store it became (a later one replaces it; none yet: not
created); then metrics, params, tags, dataset, artifact, model, candidate, model_metrics; "end" with a status;
"resumed" where an unfinished run went on. Numbers that JSON lacks are written NaN and Infinity, as Python's json reads
them.
"""

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from iqa import disk

FORMAT = 1
NAMING = (b'{"what": "begin"', b'{"what": "joined"')  # how the lines begin, as they are written here, that name a run
NAME = "journal.jsonl"
SYSTEM = "system/"  # begins the metrics whose steps are seconds, not epochs
Entry = dict[str, Any]
FIELDS = {  # what each kind of entry cannot be without
    "begin": ("format", "id"),
    "joined": ("run",),
    "resumed": (),
    "metrics": ("step", "values"),
    "params": ("values",),
    "tags": ("values",),
    "dataset": ("name", "digest"),
    "artifact": ("path", "to"),
    "model": ("name", "path"),
    "candidate": ("model", "srcc"),
    "model_metrics": ("model", "digest", "step", "rows"),
    "end": ("status",),
}

logger = logging.getLogger("iqa")


class JournalError(ValueError):
    """A journal that cannot be read or written; the sentence says which and why."""


class Journal:
    """One run folder's journal. A (key, step) once written is never written again; a torn last line is cut off."""

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self.begin: Entry = {}
        self.joined: Entry = {}
        self.status = ""  # of the last end, "" while it goes on
        self.openings = 0  # by how many processes in turn
        self.worked = 0.0  # seconds that those processes wrote in; what lay between them does not count
        self._times: dict[tuple[str, int], int] = {}  # when each (key, step) was written
        self._latest = 0  # the newest entry's time
        self._model_metrics: set[tuple[str, str, str, int]] = set()
        self._params: set[str] = set()
        self._once: set[str] = set()
        self._writing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._refuse_other_format()
        whole = 0
        for entry, end in self.read(0):
            self._learn(entry)
            whole = end
        self._cut(whole)
        self._ahead = max(_wall(), self._latest) - _steady()  # of the steady clock

    @property
    def run_id(self) -> str:
        """The store's id, or the journal's own as long as no store has the run."""
        return self.joined.get("run") or self.begin["id"]

    @property
    def size(self) -> int:
        """Bytes written, all of them whole lines."""
        return self.path.stat().st_size if self.path.exists() else 0

    def start(self, **fields: Any) -> None:
        """The first line of a new journal, on the disk before the run exists anywhere else."""
        self.append("begin", format=FORMAT, id=uuid.uuid4().hex, **fields)
        self.sync()
        disk.settle(self.path.parent)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """The values not yet written for this step."""
        new = {key: float(value) for key, value in values.items() if (key, step) not in self._times}
        if new:
            self.append("metrics", step=step, values=new)

    def measured(self, step: int) -> bool:
        """Whether any metric of an epoch was written."""
        known = tuple(self._times)  # a copy: the machine is watched from a thread of its own
        return any(written == step and not key.startswith(SYSTEM) for key, written in known)

    def model_metrics(self, model: str, values: Mapping[str, float], dataset: str, digest: str, step: int) -> None:
        """A model's values on a data set; of the same time as the run's, so that a store sees one row for both."""
        fresh = [key for key in values if (model, digest, key, step) not in self._model_metrics]
        now = self._now()
        rows = [(key, float(values[key]), self._times.get((key, step), now)) for key in fresh]
        if rows:
            self.append("model_metrics", model=model, dataset=dataset, digest=digest, step=step, rows=rows)

    def params(self, values: Mapping[str, str]) -> None:
        """Params are written once: a resumed run keeps the first."""
        new = {key: value for key, value in values.items() if key not in self._params}
        if new:
            self.append("params", values=new)

    def once(self, what: str, **fields: Any) -> None:
        """An entry that says the same when written again, and is therefore not."""
        if _identity(what, fields) not in self._once:
            self.append(what, **fields)

    def append(self, what: str, **fields: Any) -> None:
        """One whole line, flushed; on a full disk none of it and a JournalError."""
        assert what in FIELDS
        with self._writing:
            entry = {"what": what, "time": self._now(), **fields}
            line = (json.dumps(entry) + "\n").encode()
            before = self.size
            try:
                with self.path.open("ab", buffering=0) as out:
                    if out.write(line) != len(line):
                        raise OSError("no room for the whole line")
            except OSError as error:
                if self.path.exists():
                    os.truncate(self.path, before)
                raise JournalError(f"{disk.unwritten(self.path, error)}: make room for it.") from error
            self._learn(entry)

    def sync(self) -> None:
        """Everything written so far is on the disk when this returns."""
        disk.settle(self.path)

    def read(self, offset: int) -> Iterator[tuple[Entry, int]]:
        """Each entry that begins at `offset` or later, and where the next one begins."""
        return _read(self.path, offset)

    def _now(self) -> int:
        """The time in ms, which never runs backwards in a journal: the computer's clock may be set back."""
        return max(_wall(), self._ahead + _steady(), self._latest)

    def _learn(self, entry: Entry) -> None:
        what = entry["what"]
        if self._latest and what not in ("resumed", "joined"):  # sync joins a run long after it was left
            self.worked += max(0, entry["time"] - self._latest) / 1000  # the clock may have been set back
        self._latest = max(self._latest, entry["time"])
        if what == "begin":
            self.begin = entry
            self.worked = entry.get("worked", 0.0)  # of a run that was begun elsewhere
        elif what == "joined":
            self.joined = entry
            self.openings += 1
        elif what == "resumed":
            self.openings += 1
        elif what == "metrics":
            self._times |= dict.fromkeys(((key, entry["step"]) for key in entry["values"]), entry["time"])
        elif what == "model_metrics":
            keys = (row[0] for row in entry["rows"])
            self._model_metrics |= {(entry["model"], entry["digest"], key, entry["step"]) for key in keys}
        elif what == "params":
            self._params |= set(entry["values"])
        else:
            self._once.add(_identity(what, {key: entry[key] for key in entry if key not in ("what", "time")}))
        if what != "joined":  # a run that has ended may be sent to a store afterwards
            self.status = entry["status"] if what == "end" else ""

    def _refuse_other_format(self) -> None:
        """Before anything of it is read further, or cut."""
        first = next(entries(self.path.parent), {"format": FORMAT})
        if first.get("format") != FORMAT:
            raise JournalError(f"{self.path} has format {first.get('format')}; this version reads format {FORMAT}.")

    def _cut(self, whole: int) -> None:
        """A kill tears the last line, a power failure what was not synced: none of it precedes a checkpoint.

        Whole entries behind a bad line are no torn end: that file was damaged, and nothing of it is thrown away.
        """
        lost = self.size - whole
        if not lost:
            return
        with self.path.open("rb") as lines:
            number = 1 + lines.read(whole).count(b"\n")
            if any(_entry(line) is not None for line in lines):
                raise JournalError(
                    f"{self.path} is damaged: line {number} is no entry, and whole ones come after it. Put a copy of "
                    "the file in its place, or delete that line: what it said is lost then."
                )
        logger.warning("%s ended in %d bytes of a torn line: cut off.", self.path, lost)
        os.truncate(self.path, whole)


def entries(folder: Path) -> Iterator[Entry]:
    """Every whole entry of a folder's journal, whoever is writing there; changes nothing."""
    return (entry for entry, _ in _read(folder / NAME, 0))


def naming(folder: Path) -> list[Entry]:
    """The entries that say which run a folder's is; the others are passed over unread, since all folders are asked."""
    with (folder / NAME).open("rb") as lines:
        found = [_entry(line) for line in lines if line.startswith(NAMING)]
    return [entry for entry in found if entry is not None]


def last_status(folder: Path) -> str:
    """The status with which a folder's run ended, "" if it did not; changes nothing, whoever is writing there."""
    if not (folder / NAME).is_file():
        return ""
    lines = (folder / NAME).read_bytes().splitlines(keepends=True)
    whole = (entry for line in reversed(lines) if (entry := _entry(line)) is not None)
    last: Entry = next((entry for entry in whole if entry["what"] != "joined"), {})
    return last.get("status", "") if last.get("what") == "end" else ""


def _read(file: Path, offset: int) -> Iterator[tuple[Entry, int]]:
    """Each entry from a byte on, and where the next one begins, up to a line that is torn or being written."""
    if not file.is_file():
        return
    with file.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            entry = _entry(line)
            if entry is None:
                return
            offset += len(line)
            yield entry, offset


def artifact_of(folder: Path, entry: Entry) -> Path:
    """Where an artifact of a run's folder lies: in it; else where it was, or as far from it as when both were moved."""
    path = folder / entry["path"]  # an absolute path stays what it is
    moved = folder / entry["near" if "near" in entry else "path"]
    return path if path.exists() else moved


def _entry(line: bytes) -> Entry | None:
    """What a whole line says; None for a torn one, or one that is no entry."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or "time" not in entry:
        return None
    needed = FIELDS.get(str(entry.get("what")))
    return None if needed is None or any(name not in entry for name in needed) else entry


def _identity(what: str, fields: Mapping[str, Any]) -> str:
    return json.dumps([what, fields], sort_keys=True)


def _wall() -> int:
    return time.time_ns() // 1_000_000


def _steady() -> int:
    return time.monotonic_ns() // 1_000_000
