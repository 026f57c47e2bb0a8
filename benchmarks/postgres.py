"""A PostgreSQL for as long as a `with` block: in a folder of its own, on a free port of the loopback, never as root."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.faults import warm

BINARIES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
UNPRIVILEGED = ("postgres", "nobody")  # whom root becomes: PostgreSQL refuses to run as root
USER = "iqa"
PATIENCE = 30  # seconds
LASTING = range(20_000, 32_768)  # ports


def binary(name: str) -> str | None:
    """The path of one of PostgreSQL's programs, if it is installed."""
    places = [str(place) for pattern in BINARIES for place in Path("/").glob(pattern.lstrip("/"))]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))


def installed() -> bool:
    """Whether a server can be started here."""
    return binary("initdb") is not None and binary("postgres") is not None


class Server:
    """The server; `address` is what SQLAlchemy takes.

    words: its command line behind the program's name, but for where it listens and keeps its data; password: of its
    superuser `user`, who needs none if it is empty.
    """

    def __init__(self, words: Sequence[str] = (), user: str = USER, password: str = ""):
        self.words, self.user, self.password = words, user, password

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="iqa-postgres-"))
        self.port = free_port()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = next(one for one in map(known, UNPRIVILEGED) if one is not None)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        command = [binary("initdb"), "-D", str(self.folder / "data"), "-U", self.user, "-E", "UTF8", "-N"]
        if self.password:
            kept = self.folder / "password"
            kept.write_text(self.password, encoding="utf-8")
            self._run([*command, "-A", "scram-sha-256", f"--pwfile={kept}"])
            kept.unlink()
        else:
            self._run([*command, "-A", "trust"])
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> str:
        return f"postgresql+psycopg://{self.user}@127.0.0.1:{self.port}/postgres"

    def login(self) -> dict[str, Any]:
        """What psycopg needs to connect as the superuser."""
        return {"host": "127.0.0.1", "port": self.port, "user": self.user, "password": self.password}

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder}
        settings |= {"fsync": "off"}  # its data lives as long as this process
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(binary("postgres")), *self.words, "-D", str(self.folder / "data"), *words]
        with (self.folder / "log").open("a") as log:
            ending = partial(warm.follow, signal.SIGQUIT)  # it ends with this process, however that ends
            about = self._as | {"preexec_fn": ending}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **about)
        self._wait()

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Stop at once, as `immediate` does: sessions end, nothing is said goodbye to."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)

    def restart(self, pause: float = 0.0) -> None:
        """Away for so many seconds, then back on the same port with the same data."""
        self.stop()
        time.sleep(pause)
        self.start()

    def _run(self, command: list[Any]) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as)

    def _wait(self) -> None:
        import psycopg

        end = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(**self.login(), dbname="postgres").close()
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()}") from None
                time.sleep(0.1)
            else:
                return


def known(name: str) -> Any:
    """An account of this machine, None if there is none of that name."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def free_port() -> int:
    """A port of the loopback that nothing uses; OSError if there is none.

    It stays free until its server takes it: Linux gives outgoing connections ports from 32768 on, and one of those took
    a port that had been found free for a server that was still starting.
    """
    for port in random.SystemRandom().sample(LASTING, len(LASTING)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("Every port of the loopback from 20000 to 32767 is in use.")
