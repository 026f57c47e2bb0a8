"""A study by its name: made, or gone on with as it was declared."""

import logging
import uuid
from contextlib import closing

import optuna
from optuna.trial import FrozenTrial

from iqa import tracking

from . import choices
from .claims import WORD, Desk, again
from .database import Database, exists, patiently
from .locks import held
from .order import Order, differences, drawn

GRACE = 120  # seconds of silence after which a worker counts as dead, unless the command says another number
DECLARED = "declared"  # the attribute of a study that keeps its space and settings


def opened(order: Order, address: str, grace: int) -> Desk:
    """The study and its trials. Raises ValueError, with the difference, if one of that name is another study."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    choices.check(order.sampler, order.pruner)
    declared = order.declared()
    database = Database(address, grace, again)
    with held(database.study_lock(order.study)):
        study = patiently(lambda: made(order, database))
        kept = study.user_attrs.get(DECLARED)
        lines = differences(kept, declared) if kept else []
        if lines:
            study = anew(order, database, lines)
        if lines or kept is None:
            study.set_user_attr(WORD, uuid.uuid4().hex[:8])  # first: who is declared without is older
            study.set_user_attr(DECLARED, declared)
        if order.sampler == "grid":
            laid(study, order)
    return Desk(database, study, order)


def found(order: Order, address: str, grace: int) -> Desk:
    """The study, to be read alone. Raises ValueError if there is none of that name, or if it is another study."""
    missing = f"There is no study {order.study} in {tracking.shown(address)}: search first, without action=best."
    if not exists(address):
        raise ValueError(missing)
    database = Database(address, grace, again)
    try:
        study = optuna.load_study(study_name=order.study, storage=database.storage)
    except KeyError:
        raise ValueError(missing) from None
    desk = Desk(database, study, order)
    if study.get_trials(deepcopy=False):
        confirm(desk)
    return desk


def confirm(desk: Desk) -> None:
    """Raise ValueError if the study is, or has become meanwhile, another one than the order's."""
    try:
        kept = patiently(lambda: desk.study.user_attrs).get(DECLARED)
    except KeyError:
        raise ValueError(
            f"The study {desk.order.study} had no trials, and another command has just begun it anew with other "
            "settings: give another name, -P study=NAME."
        ) from None
    refuse(desk.order.study, differences(kept, desk.order.declared()) if kept else [])


def attempts(study: str, address: str) -> list[FrozenTrial]:
    """Every attempt at a trial of a study, to be looked at from outside. Raises KeyError if there is no such study."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with closing(Database(address, GRACE, again)) as database:
        return optuna.load_study(study_name=study, storage=database.storage).get_trials()


def made(order: Order, database: Database) -> optuna.Study:
    """The study in its database, new or not."""
    return optuna.create_study(
        study_name=order.study,
        storage=database.storage,
        direction="maximize",
        pruner=choices.pruner(order.pruner, order.epochs),
        load_if_exists=True,
    )


def anew(order: Order, database: Database, lines: list[str]) -> optuna.Study:
    """The study again, empty, if it has no trials whose meaning could change and nobody leads it, else refused."""
    lead = database.lock(f"lead {order.study}")
    study = made(order, database)
    if study.get_trials(deepcopy=False) or not lead.take():
        refuse(order.study, lines)
    try:
        optuna.delete_study(study_name=order.study, storage=database.storage)
        return made(order, database)
    finally:
        lead.leave()


def refuse(study: str, lines: list[str]) -> None:
    """Raise ValueError if there are differences."""
    if lines:
        raise ValueError(
            f"The study {study} exists, and its trials mean something else:\n" + "\n".join(lines) + "\n"
            "Ask for what it has, or give another name: -P study=NAME."
        )


def laid(study: optuna.Study, order: Order) -> None:
    """Keep the points of a grid with its study: every worker has the same, also when more trials are asked for."""
    if choices.GRID not in study.user_attrs:
        study.set_user_attr(choices.GRID, choices.grid(drawn(order.space)[0], order.trials))
    points = choices.size(study.user_attrs[choices.GRID])
    if points < order.trials:
        raise ValueError(
            f"The grid of the study {order.study} has {points} points, too few for {order.trials} trials: go on with "
            "another sampler, or make a finer grid under another name, -P study=NAME."
        )
