"""Tracking that is off, and shipping that is: objects with the same verbs."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from iqa.tracking.signals import stop_requested


class Silent:
    """The verbs of a run, none of which writes anything."""

    run_id, page, cell, resumed, finished, openings, worked_before = "", "", "", False, False, 1, 0.0

    def __init__(self, folder: Path = Path()):
        self.folder = folder

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Named values of one step."""

    def vouches(self, epochs: int) -> bool:
        """Whether an earlier opening of this run wrote the metrics of so many epochs: a checkpoint presupposes it."""
        return True

    def params(self, values: Mapping[str, Any]) -> None:
        """The resolved config, by dotted name."""

    def tags(self, values: Mapping[str, Any]) -> None:
        """Tags; a later one replaces an earlier one."""

    def artifact(self, path: Path, to: str = "") -> None:
        """A file into the folder `to`, or a folder as `to` (its own name if that is empty)."""

    def dataset(self, name: str, digest: str, source: str, context: str, tags: Mapping[str, Any]) -> None:
        """A data set that this run reads. digest: at most 36 characters; context: training, validation, testing."""

    def model(self, name: str, folder: Path, params: Mapping[str, Any], code: Path) -> str:
        """A LoggedModel: a checkpoint's folder and the file that serves it; what to call it in `model_metrics`."""
        return name

    def candidate(self, model: str, srcc: float, digest: str, protocol: str) -> None:
        """A model (by what `model` said) for the registry's champion, with its SRCC on a validation part."""

    def model_metrics(self, model: str, values: Mapping[str, float], dataset: str, digest: str, step: int) -> None:
        """Values tied to (model, data set); the model by what `model` said, or by an earlier run's id."""

    def note(self, markdown: str) -> None:
        """The run's description."""

    def sync(self) -> None:
        """What was written so far survives a power failure; goes before every checkpoint."""

    def usage(self) -> dict[str, float]:
        """How busy the machine's GPUs were on average so far, as a cost; nothing where there are none."""
        return {}

    def stop_requested(self) -> int:
        """The number of the signal that asked to stop, 0 if none did."""
        return stop_requested()

    def child(self, stage: str, folder: Path, **opening: Any) -> "Silent":
        """A run nested below this one."""
        return Silent(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Kept:
    """The verbs of a shipper, none of which sends anything: the journal is kept for `sync`."""

    trouble = ""

    def start(self) -> None:
        """Nothing to start."""

    def finish(self, patience: float, longest: float) -> bool:
        """Nothing was to arrive, so all of it did."""
        return True

    def left(self) -> int:
        """Nothing that should have gone is left."""
        return 0
