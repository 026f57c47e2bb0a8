"""Which run of the store a folder's journal is: the one it was, the one that `mlflow run` made, or a new one."""

import logging
import os
from dataclasses import dataclass

from iqa import instants
from iqa.tracking import provenance, store
from iqa.tracking.journal import Journal
from iqa.tracking.patience import patient
from iqa.tracking.shipping import Position

logger = logging.getLogger("iqa")


@dataclass(frozen=True)
class Opening:
    """What a run begins with; tags and params as strings."""

    stage: str
    name: str
    params: dict[str, str]
    tags: dict[str, str]
    parent: str | None
    experiment: str
    description: str
    reopen: bool  # also where it has finished: an experiment that is asked for again

    def first_tags(self) -> dict[str, str]:
        """What the run is marked with from its first moment on."""
        tags = {"stage": self.stage} | self.tags | provenance.commit_tags()
        return tags | ({"mlflow.note.content": self.description} if self.description else {})


def join(journal: Journal, position: Position, opening: Opening) -> None:
    """Begin the journal or go on with it, and join its run in the store; offline the journal alone knows of it."""
    given = os.environ.pop("MLFLOW_RUN_ID", "")  # the first to open takes it, as with MLflow's start_run
    resumed = bool(journal.begin)
    if not resumed:
        begin(journal, opening.stage, opening.name, opening.experiment, opening.parent)
    tags = opening.first_tags()
    if store.offline():
        _apart(journal, resumed, given)
    else:
        _together(journal, position, opening, resumed, given, tags)
    journal.append("tags", values=tags)  # in a store they are by now; offline, the journal is all there is


def begin(journal: Journal, stage: str, name: str, experiment: str, parent: str | None) -> None:
    """The first line, with all that creating the run needs, whenever that will be."""
    journal.start(stage=stage, name=name, experiment=store.experiment_name(experiment), parent=parent)


def _apart(journal: Journal, resumed: bool, given: str) -> None:
    if resumed:
        journal.append("resumed", pid=os.getpid())
    elif given:
        where = os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
        journal.append("joined", run=given, experiment=where, store=store.shown(store.uri()), unseen=True)
    journal.sync()


def _together(
    journal: Journal, position: Position, opening: Opening, resumed: bool, given: str, tags: dict[str, str]
) -> None:
    earlier = journal.joined.get("run", "")
    there = bool(earlier) and _there(earlier)
    if resumed:
        journal.append("resumed", pid=os.getpid())
    if there:
        _go_on(journal, opening, earlier, given, tags)
        return
    if earlier:
        forget(journal, position)
    _begin(journal, opening, given, tags)


@patient
def _there(run_id: str) -> bool:
    return store.find_run(run_id) is not None


@patient
def _go_on(journal: Journal, opening: Opening, earlier: str, given: str, tags: dict[str, str]) -> None:
    store.reopen(earlier, tags)
    name_unseen(journal)
    if given not in ("", earlier):  # `mlflow run` ends it when we are gone; our tables leave it out
        store.take_over(given, opening.stage, f"{opening.name} (continued)", {"iqa.continues": earlier})


@patient
def _begin(journal: Journal, opening: Opening, given: str, tags: dict[str, str]) -> None:
    if given:
        experiment = store.take_over(given, opening.stage, opening.name, tags | _lineage(journal))
        journal.append("joined", run=given, experiment=experiment, store=store.shown(store.uri()))
        journal.sync()
    else:
        create(journal, store.experiment_id(opening.experiment), tags)


def forget(journal: Journal, position: Position) -> None:
    """The journal's run is gone from the store: all of it is to be sent to another."""
    logger.warning("The store has no run %s any more: everything is sent to a new one.", journal.joined["run"])
    position.reset()


def name_unseen(journal: Journal) -> None:
    """A run that `mlflow run` made and that was joined offline gets its name when the store is there."""
    if journal.joined.get("unseen"):
        store.take_over(journal.joined["run"], journal.begin["stage"], journal.begin["name"], _lineage(journal))


def create(journal: Journal, experiment: str, tags: dict[str, str]) -> None:
    """Make the journal's run in the store, below its parent's if it has one.

    It may be there: a process was killed, or the store went away, before its id could be noted.
    """
    lineage = _lineage(journal)
    if lineage:  # a child lies where its parent lies: nothing else shows it below
        parent = store.find_run(lineage["mlflow.parentRunId"])
        assert parent is not None
        experiment = parent.info.experiment_id
    begin = journal.begin
    mark = {store.MARK: begin["id"]}
    commit = {"mlflow.source.git.commit": tags["git.commit"]} if "git.commit" in tags else {}
    run = store.marked_run([experiment], mark)
    if run is None:
        every = tags | mark | commit | lineage
        run = store.create_run(experiment, begin["stage"], begin["name"], every, begin["time"])
    instants.reached("amid-joining")
    journal.append("joined", run=run, experiment=experiment, store=store.shown(store.uri()))
    journal.sync()


def _lineage(journal: Journal) -> dict[str, str]:
    """MLflow's tag for the run above, by the id that the store has for it. Raises StoreError if it has none."""
    if not journal.begin["parent"]:
        return {}
    parent = store.known(journal.begin["parent"])
    if parent is None:
        where = store.shown(store.uri())
        raise store.StoreError(f"The parent run {journal.begin['parent']} is not in {where}: sync that one first.")
    return {"mlflow.parentRunId": parent.info.run_id}
