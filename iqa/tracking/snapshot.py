"""Our runs as the store had them at one moment: what is known of them is not asked for again, be they thousands."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from iqa.tracking import reading, store
from iqa.tracking.local import RunRow


class Snapshot:
    """The rows of `reading.rows`, or those given; read when they are first needed.

    still: whether a cell that they do not show as finished is none; else the store is asked for it once more, since
    another process may have finished it meanwhile.
    """

    def __init__(self, rows: Sequence[RunRow] | None = None, still: bool = True):
        self.still = still
        self._given = rows
        self._indexes: dict[str, dict[str, list[RunRow]]] = {}
        self._curves: dict[str, dict[str, list[tuple[int, float]]]] = {}

    @cached_property
    def rows(self) -> Sequence[RunRow]:
        """Newest first."""
        return reading.rows() if self._given is None else self._given

    @cached_property
    def _by_id(self) -> dict[str, RunRow]:
        return {row.run_id: row for row in self.rows}

    def finished(self, tag: str, value: str) -> Sequence[RunRow]:
        """The finished runs that have this value of a tag, newest first."""
        if tag not in self._indexes:
            index: dict[str, list[RunRow]] = defaultdict(list)
            for row in self.rows:
                if row.status == "FINISHED":
                    index[row.tags.get(tag, "")].append(row)
            self._indexes[tag] = index
        found = self._indexes[tag].get(value, [])
        return found if found or self.still else reading.rows(status="FINISHED", tags={tag: value})

    def row(self, run_id: str) -> RunRow:
        """As `reading.row`."""
        return self._by_id.get(run_id) or reading.row(run_id)

    def history(self, run_id: str, key: str) -> list[tuple[int, float]]:
        """As `reading.history`; a metric of all these runs is read at once."""
        if run_id not in self._by_id:
            return reading.history(run_id, key)
        if key not in self._curves:
            having = [one.run_id for one in self.rows if key in one.metrics]
            self._curves[key] = reading.histories(having, key)
        return self._curves[key].get(run_id, [])

    def fetch(self, run_id: str, artifact_path: str) -> Path:
        """As `reading.fetch`."""
        row = self._by_id.get(run_id)
        if row is None or not row.artifacts:
            return reading.fetch(run_id, artifact_path)
        return reading.located(run_id, row.artifacts, artifact_path)

    def resolve(self, where: str) -> Path:
        """As `reading.resolve`."""
        return reading.resolve(where, self.fetch)

    def url(self, run_id: str) -> str:
        """As `reading.url`."""
        row = self._by_id.get(run_id)
        return reading.url(run_id) if row is None or store.offline() else store.page(row.experiment_id, run_id)
