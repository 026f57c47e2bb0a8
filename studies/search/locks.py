"""One process at a time: locks of one machine or of a PostgreSQL, free again when whoever holds one is gone."""

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from iqa import tracking

GLANCE = 0.05  # seconds between two looks at a lock
LONG = 10.0  # seconds of waiting after which it is said
TAKE = sqlalchemy.text(  # the limit has its name since PostgreSQL 14
    "select pg_try_advisory_lock(:key), case when current_setting('idle_session_timeout', true) is not null "
    "then set_config('idle_session_timeout', :idle, false) end"
)

logger = logging.getLogger("iqa")


class MachineLock:
    """A lock for the processes of one machine."""

    def __init__(self, name: str, path: Path):
        self.name = name
        self._lock = FileLock(path)

    def take(self) -> bool:
        """Whether it is ours now; does not wait."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def keep(self) -> bool:
        """Whether it is ours still."""
        return self._lock.is_locked

    def leave(self) -> None:
        """Give it back, if it is ours."""
        self._lock.release()


class DatabaseLock:
    """A lock for the sessions of one PostgreSQL: an advisory one, which ends with its session.

    idle: seconds after which the session of a process that is stopped ends; 0 = never.
    """

    def __init__(self, name: str, engine: sqlalchemy.Engine, idle: int = 0):
        self.name, self._engine, self._idle = name, engine, idle
        self._key = int.from_bytes(hashlib.sha256(f"iqa {name}".encode()).digest()[:8], "big", signed=True)
        self._session: sqlalchemy.Connection | None = None

    def take(self) -> bool:
        """Whether it is ours now; does not wait."""
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            ours = bool(session.scalar(TAKE, {"key": self._key, "idle": f"{self._idle}s"}))
        except SQLAlchemyError:
            session.close()
            raise
        if ours:
            self._session = session
        else:
            session.close()
        return ours

    def keep(self) -> bool:
        """Whether it is ours, still or again: an outage of the database has ended its session, and so the lock."""
        if self._session is not None:
            try:
                self._session.execute(sqlalchemy.text("select 1"))
                return True
            except SQLAlchemyError:
                self.leave()
        return self.take()

    def leave(self) -> None:
        """Give it back, if it is ours; where the database went away meanwhile it is free already."""
        if self._session is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._session.close()  # no pool: this ends the session, and with it the lock
            self._session = None


Lock = MachineLock | DatabaseLock


class Occupied(Exception):
    """Another process holds a lock for longer than this one can wait."""


@contextmanager
def held(lock: Lock, patience: float | None = None) -> Iterator[None]:
    """Wait for a lock and hold it. Raises Stopped if asked to stop meanwhile.

    patience: seconds that a process waits which is leaving, asked to stop or not; then Occupied is raised.
    """
    wait(lock, patience)
    try:
        yield
    finally:
        lock.leave()


def wait(lock: Lock, patience: float | None) -> None:
    """Take a lock as soon as it is free; one that is not for LONG is named, once."""
    began, told = time.monotonic(), False
    while not lock.take():
        waited = time.monotonic() - began
        if patience is None:
            tracking.stop_if_asked()
        elif waited > patience:
            raise Occupied(f"The lock '{lock.name}' was not free within {patience:g} s.")
        if waited > LONG and not told:
            logger.warning(
                "Another process holds the lock '%s' of the studies' database, and is waited for: if a worker of the "
                "study is stopped, let it go on or end it.",
                lock.name,
            )
            told = True
        time.sleep(GLANCE)
