"""Runs → where a reader finds them: one run is its page, several are an entry in the list of sources."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Links:
    """Addresses of runs; groups of runs are numbered in the order in which the reader meets them."""

    url: Callable[[str], str]
    names: Mapping[str, str]  # run id → the run's name
    groups: dict[tuple[str, ...], int] = field(default_factory=dict)

    pages: dict[str, str] = field(default_factory=dict)  # asked once: the answer may cost a query

    def page(self, run: str) -> str:
        """The run's page in the tracking store; empty where it is not an address that a browser opens."""
        if run not in self.pages:
            address = self.url(run)
            self.pages[run] = address if address.startswith(("http://", "https://")) else ""
        return self.pages[run]

    def href(self, runs: tuple[str, ...]) -> str:
        """Where a value made by `runs` points to."""
        runs = tuple(dict.fromkeys(runs))
        if len(runs) == 1 and (address := self.page(runs[0])):
            return address
        return f"#source-{self.number(runs)}"

    def label(self, runs: tuple[str, ...]) -> str:
        """A short name for the link of these runs: the run's first letters, or the number of the source."""
        address = self.href(runs)
        return f"S{self.number(runs)}" if address.startswith("#") else runs[0][:8]

    def number(self, runs: tuple[str, ...]) -> int:
        """The number of this group of runs in the list of sources."""
        return self.groups.setdefault(tuple(dict.fromkeys(runs)), len(self.groups) + 1)

    def name(self, run: str) -> str:
        return self.names.get(run) or run[:8]

    def words(self, runs: tuple[str, ...]) -> str:
        """The runs by name, for a tooltip."""
        return ", ".join(self.name(run) for run in dict.fromkeys(runs))
