"""Where studies live: a SQLite file for one machine, a PostgreSQL for any number of workers on any number of them."""

import contextlib
import hashlib
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from iqa import tracking

POSTGRES = "postgresql+psycopg://"
CONNECT = 5  # seconds
BUSY = 60  # seconds that one SQLite writer waits for another
KEEPALIVES = {"idle": 30, "interval": 10, "count": 3}  # how soon a server frees the locks of a machine that vanished
GLANCE = 0.05  # seconds between two looks at a lock
TROUBLES = (optuna.exceptions.StorageInternalError, SQLAlchemyError)

Answer = TypeVar("Answer")


class Database:
    """The database of the studies. Raises ValueError for an address of another kind, or if nothing answers there.

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
            raise ValueError(
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

    def lock(self, name: str) -> "FileTurn | DatabaseTurn":
        """What one process at a time can hold, on whatever machine; it is free again when that process is gone."""
        if self.address.startswith("sqlite:"):
            file = tracking.file_of(self.address)
            file.parent.mkdir(parents=True, exist_ok=True)
            return FileTurn(file.with_name(f"{file.name}.{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.lock"))
        return DatabaseTurn(self._engine, name)

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


class FileTurn:
    """A lock for the processes of one machine."""

    def __init__(self, path: Path):
        self._lock = FileLock(path)

    def take(self) -> bool:
        """Whether it is ours now; does not wait."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def leave(self) -> None:
        self._lock.release()


class DatabaseTurn:
    """A lock for the sessions of one PostgreSQL: an advisory one, which ends with its session."""

    def __init__(self, engine: sqlalchemy.Engine, name: str):
        self._engine = engine
        self._key = int.from_bytes(hashlib.sha256(f"iqa {name}".encode()).digest()[:8], "big", signed=True)
        self._session: sqlalchemy.Connection | None = None

    def take(self) -> bool:
        """Whether it is ours now; does not wait."""
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            ours = bool(session.scalar(sqlalchemy.text("select pg_try_advisory_lock(:key)"), {"key": self._key}))
        except SQLAlchemyError:
            session.close()
            raise
        if ours:
            self._session = session
        else:
            session.close()
        return ours

    def leave(self) -> None:
        """Give it back; where the database went away meanwhile it is free already."""
        if self._session is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._session.close()  # no pool: this ends the session, and with it the lock
            self._session = None


@contextmanager
def held(turn: FileTurn | DatabaseTurn) -> Iterator[None]:
    """Wait for a lock and hold it. Raises Stopped if asked to stop meanwhile."""
    while not turn.take():
        tracking.stop_if_asked()
        time.sleep(GLANCE)
    try:
        yield
    finally:
        turn.leave()


def patiently(ask: Callable[[], Answer]) -> Answer:
    """The database's answer, asked again while it is away. Raises DatabaseAway, or Stopped if asked to stop."""
    return tracking.persist(ask, "The studies' database", lambda: TROUBLES, cause, DatabaseAway)


def cause(error: Exception) -> str:
    """What the database itself said, in a line: Optuna's own words tell of a commit, whatever happened."""
    return str(error.__cause__ or error).splitlines()[0]


class DatabaseAway(ValueError):
    """The database of the studies did not come back in time; the same command goes on when it has."""


def exists(address: str) -> bool:
    """Whether there may be tables at an address: a SQLite file that is not there would be made by looking into it."""
    return not address.startswith("sqlite:///") or tracking.file_of(address).is_file()
