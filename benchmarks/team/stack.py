"""The services of docker-compose.yml as plain processes of this machine: their very command lines, in a folder of
their own, on free ports of the loopback. Only where things lie and listen is another.

    python -m benchmarks.team.stack        until Ctrl-C; prints addresses and the admin's password; keeps nothing
"""

import argparse
import secrets as random_secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from benchmarks import plain, postgres
from benchmarks.faults import warm
from benchmarks.plain import HOST
from server import compose

PATIENCE = 600.0  # seconds for a service to become well
LOOK = 0.2  # seconds
ADMIN = "admin"


def lacking() -> list[str]:
    """The programs that are not to be found here; the stack needs all of them."""
    there = {"PostgreSQL (Debian: apt install postgresql)": postgres.installed()}
    for name in ("mlflow", "optuna-dashboard", "weed"):
        there[f"{name} (pip install of the extras server and dev)"] = shutil.which(name, path=plain.path()) is not None
    return [name for name, found in there.items() if not found]


def refuse_lacking() -> None:
    """Raise ValueError where a program is not to be found."""
    if names := lacking():
        raise ValueError(f"The services cannot be started without {', '.join(names)}.")


class Stack:
    """Use it as a context. `environment()` is what a user's shell needs; services are known by compose's names."""

    def __enter__(self) -> "Stack":
        refuse_lacking()
        text = compose.FILE.read_text(encoding="utf-8")
        self.secrets = {name: random_secrets.token_hex(16) for name in compose.secrets(text)}
        described = compose.services(self.secrets)
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="iqa-team-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.places = plain.Places(self.folder)
            self.places.listen(described.values())
            (self.folder / "objects").mkdir()
            words = described["db"].command[1:]
            self.db = postgres.Server(words, "postgres", self.secrets["POSTGRES_PASSWORD"])
            stack.enter_context(self.db)
            self.places.ports[5432] = self.db.port
            self.services = {name: self.places.service(one) for name, one in described.items()}
            auth = (compose.ROOT / "server/auth.ini").read_text(encoding="utf-8")
            (self.folder / "auth.ini").write_text(self.places.moved(auth), encoding="utf-8")
            self.inside("db", ["psql", "--quiet", f"--file={compose.ROOT / 'server/databases.sql'}", "postgres"])
            self.running: dict[str, warm.Program] = {}
            stack.callback(self._end)
            for name in self.services:
                self.start(name)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.places.ports[5000]}"

    @property
    def dashboard(self) -> str:
        return f"http://{HOST}:{self.places.ports[8080]}"

    @property
    def studies(self) -> str:
        """Optuna's storage, as the role that may use it."""
        password = self.secrets["OPTUNA_DATABASE_PASSWORD"]
        return f"postgresql://optuna:{password}@{HOST}:{self.db.port}/optuna"

    def environment(self, user: str = ADMIN, password: str = "") -> dict[str, str]:
        """What a user of the server sets."""
        password = password or self.secrets["MLFLOW_AUTH_ADMIN_PASSWORD"]
        return {
            "MLFLOW_TRACKING_URI": self.address,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
        }

    def start(self, name: str) -> None:
        """Start a service, or start it again with the same data, and wait until its own health check is content."""
        service = self.services[name]
        if name != "db":
            out = self.folder / f"{name}.log"
            self.running[name] = warm.Program(service.command, out, service.environment, self.folder)
        elif not self.db.running():
            self.db.start()
        if not warm.until(lambda: self.well(name) or self._gone(name), PATIENCE, LOOK) or self._gone(name):
            raise RuntimeError(f"The service {name} does not become well: {self.said(name)}")

    def kill(self, name: str) -> None:
        """Every process of a service, at once: nothing is said goodbye to."""
        if name == "db":
            self.db.stop()
            return
        self.running.pop(name).end()

    def well(self, name: str) -> bool:
        """What the service's health check says."""
        service = self.services[name]
        return (
            subprocess.run(
                service.health, env=service.environment, cwd=self.folder, capture_output=True, check=False
            ).returncode
            == 0
        )

    def said(self, name: str) -> str:
        """The last lines that a service has written."""
        file = self.db.folder / "log" if name == "db" else self.folder / f"{name}.log"
        return file.read_text(encoding="utf-8", errors="replace")[-2000:]

    def inside(
        self, name: str, words: Sequence[str], source: IO[bytes] | None = None, out: IO[bytes] | None = None
    ) -> None:
        """A command as it would run inside a service's container: `server.backup` takes this for its engine."""
        environment = self.services[name].environment
        if name == "db":  # there the superuser needs no password, through a socket of the container's own
            login = {"PGHOST": HOST, "PGPORT": str(self.db.port), "PGUSER": "postgres"}
            environment = environment | login | {"PGPASSWORD": self.db.password}
        command = [self.places.moved(word) for word in words]
        subprocess.run(command, check=True, env=environment, cwd=self.folder, stdin=source, stdout=out)

    def _gone(self, name: str) -> bool:
        return name != "db" and self.running[name].poll() is not None

    def _end(self) -> None:
        for name in reversed(list(self.running)):
            self.kill(name)


def main() -> int:
    """Start everything, say where it is, wait."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has its background jobs ignore Ctrl-C
        signal.signal(number, signal.default_int_handler)
    try:
        with Stack() as stack:
            print(f"MLflow     {stack.address}")
            print(f"dashboard  {stack.dashboard}")
            print("\n".join(f"export {name}={value}" for name, value in stack.environment().items()))
            print(f"export OPTUNA_STORAGE={stack.studies}")
            print(f"logs in {stack.folder}; Ctrl-C ends everything and keeps nothing", flush=True)
            while not (ended := [name for name, one in stack.running.items() if one.poll() is not None]):
                time.sleep(1)
            raise RuntimeError(f"The service {ended[0]} has ended by itself: {stack.said(ended[0])}")
    except KeyboardInterrupt:
        return 0
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
