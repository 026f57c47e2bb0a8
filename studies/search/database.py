"""Where studies live: a SQLite file for one machine, a PostgreSQL for any number of workers on any number of them."""

import re
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from iqa import tracking

from .locks import DatabaseLock, Lock, MachineLock, held

POSTGRES = "postgresql+psycopg://"
CONNECT = 5  # seconds
BUSY = 60  # seconds that one SQLite writer waits for another
KEEPALIVES = {"idle": 30, "interval": 10, "count": 3}  # how soon a server frees the locks of a machine that vanished
TROUBLES = (optuna.exceptions.StorageInternalError, SQLAlchemyError)

Answer = TypeVar("Answer")


class Unanswered(ValueError):
    """Nothing answers at the address of the studies' database."""


class Database:
    """The database of the studies. Raises ValueError for an address of another kind, Unanswered if nothing is there.

    grace: seconds without a heartbeat after which a trial's worker counts as dead; stale: called with each such trial.
    """

    def __init__(self, address: str, grace: int, stale: Callable[[optuna.Study, Any], None]):
        self.address = re.sub(r"^postgres(ql)?(\+psycopg)?://", POSTGRES, address)
        self.grace, self.stale = grace, stale
        if not self.address.startswith(("sqlite:///", POSTGRES)):
            raise ValueError(
                f"storage = '{tracking.shown(address)}': give sqlite:///FILE.db or postgresql://USER@HOST/NAME."
            )
        try:
            with held(self.lock("tables")):  # two processes that create the tables at once both fail
                self.storage = self._storage()
        except TROUBLES as error:
            raise Unanswered(
                f"The studies' database at {tracking.shown(address)} does not answer: {cause(error)}"
            ) from None

    @property
    def beat(self) -> int:
        """Seconds between two heartbeats."""
        return max(1, self.grace // 6)

    def _storage(self) -> RDBStorage:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return RDBStorage(
                self.address,
                self._engine_options(),
                heartbeat_interval=self.beat,
                grace_period=self.grace,
                heartbeat_stale_trial_callback=self.stale,
            )

    def lock(self, name: str, idle: int = 0) -> Lock:
        """What one process at a time can hold, on whatever machine; it is free again when that process is gone.

        idle: seconds after which a PostgreSQL takes it from a process that is stopped; 0 = never.
        """
        if self.address.startswith("sqlite:"):
            file = tracking.file_of(self.address)
            file.parent.mkdir(parents=True, exist_ok=True)
            return MachineLock(name, file.with_name(f"{file.name}.{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.lock"))
        return DatabaseLock(name, self._engine, idle)

    def study_lock(self, study: str) -> Lock:
        """The lock of a study, under which its trials are given out; never held for as long as a computation takes."""
        return self.lock(f"study {study}", idle=self.grace)

    def close(self) -> None:
        """End every session of this process; locks that it holds are free then."""
        self.storage.remove_session()
        self.storage.engine.dispose()
        self._engine.dispose()

    @cached_property
    def _engine(self) -> sqlalchemy.Engine:
        """Of the locks: connections of their own, so that a lock's is never lent to somebody else."""
        return sqlalchemy.create_engine(self.address, poolclass=sqlalchemy.NullPool, **self._engine_options())

    def _engine_options(self) -> dict[str, Any]:
        if self.address.startswith("sqlite:"):
            return {"connect_args": {"timeout": BUSY}}
        keep = " ".join(f"-c tcp_keepalives_{name}={value}" for name, value in KEEPALIVES.items())
        return {"pool_pre_ping": True, "connect_args": {"connect_timeout": CONNECT, "options": keep}}


def patiently(ask: Callable[[], Answer]) -> Answer:
    """The database's answer, asked again while it is away. Raises DatabaseAway, or Stopped if asked to stop."""
    return tracking.persist(ask, "The studies' database", lambda: (*TROUBLES, Unanswered), cause, DatabaseAway)


def cause(error: Exception) -> str:
    """What the database itself said, in a line: Optuna's own words tell of a commit, whatever happened."""
    return str(error.__cause__ or error).splitlines()[0]


class DatabaseAway(ValueError):
    """The database of the studies did not come back in time; exit code 75: the same command goes on when it has."""

    exit_code = 75


def exists(address: str) -> bool:
    """Whether there may be tables at an address: a SQLite file that is not there would be made by looking into it."""
    return not address.startswith("sqlite:///") or tracking.file_of(address).is_file()
