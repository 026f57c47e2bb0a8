"""A service of docker-compose.yml as a process of this machine: its command line, environment and health check as they
stand, but for where things lie and listen.
"""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import postgres
from server import compose
from server.compose import Service

HOST = "127.0.0.1"
IMAGE = "/etc/iqa"  # where the image has our files
KEPT = ("HOME", "LANG", "OMP_NUM_THREADS")  # of this process's environment


@dataclass
class Places:
    """Where services of one folder lie and listen: ports of the containers → free ones of the loopback."""

    folder: Path
    ports: dict[int, int] = field(default_factory=dict)

    def listen(self, services: Iterable[Service]) -> None:
        """Find a free port for each that these services' command lines say."""
        self.ports |= {port: postgres.free_port() for port in ports(services)}

    def service(self, described: Service) -> Service:
        """The service as a process of this machine."""
        own = {name: value for name, value in os.environ.items() if name in KEPT}
        told = {name: self.moved(value) for name, value in described.environment.items()}
        command, health = (tuple(map(self.moved, words)) for words in (described.command, described.health))
        return Service(described.name, command, {**own, "PATH": path(), **told}, health)

    def moved(self, text: str) -> str:
        """The text with this machine's places instead of the containers'."""
        places = {
            r"\b(db|objects):(?=\d)": f"{HOST}:",
            r"\b0\.0\.0\.0\b": HOST,
            r"(?<==)/objects$": str(self.folder / "objects"),
            rf"^{IMAGE}/auth.ini$": str(self.folder / "auth.ini"),
            rf"^{IMAGE}/(?=\w+\.py$)": f"{compose.ROOT}/server/",
        }
        for old, new in places.items():
            text = re.sub(old, new, text)
        return re.sub(r"(?<=[:=])\d{4,5}\b", lambda found: str(self.ports.get(int(found[0]), found[0])), text)


def ports(services: Iterable[Service]) -> list[int]:
    """Every port that a command line says."""
    words = [word for service in services for word in service.command]
    found = (re.fullmatch(r"--?[\w.]*port(?:\.grpc)?=(\d+)", word) for word in words)
    return sorted({int(one[1]) for one in found if one})


def path() -> str:
    """Where programs are looked for: this Python's own first, PostgreSQL's too."""
    database = postgres.binary("postgres")
    more = [str(Path(database).parent)] if database else []
    return os.pathsep.join([str(Path(sys.executable).parent), *more, os.environ.get("PATH", os.defpath)])
