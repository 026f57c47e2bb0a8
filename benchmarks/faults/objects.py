"""A real S3 server for as long as a `with` block: the team's own, by its command line in docker-compose.yml."""

import secrets as random_secrets
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import plain
from benchmarks.faults import warm
from benchmarks.faults.row import Untried
from benchmarks.faults.servers import PATIENCE, answers
from benchmarks.plain import HOST
from server import compose

BUCKET = "s3://mlflow"


class Objects:
    """SeaweedFS on free ports; it can be killed, and come back with the same data. Raises Untried where it lacks."""

    def __init__(self, folder: Path):
        if shutil.which("weed", path=plain.path()) is None or find_spec("boto3") is None:
            raise Untried("no weed or no boto3 is installed (the extras server and dev)")
        text = compose.FILE.read_text(encoding="utf-8")
        known = {name: random_secrets.token_hex(16) for name in compose.secrets(text)}
        described, places = compose.services(known)["objects"], plain.Places(folder)
        places.listen([described])
        service = places.service(described)
        self.folder, self.environment = folder, service.environment | {"HOME": str(folder)}
        self.command, self.port = service.command, places.ports[8333]

    def __enter__(self) -> "Objects":
        (self.folder / "objects").mkdir()
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()

    def login(self) -> dict[str, str]:
        """What MLflow's server has in its environment to keep its artifacts there."""
        about = {"MLFLOW_S3_ENDPOINT_URL": f"http://{HOST}:{self.port}", "AWS_DEFAULT_REGION": "us-east-1"}
        return about | {name: value for name, value in self.environment.items() if name.startswith("AWS_")}

    def start(self) -> None:
        """Start, and wait until it is well."""
        self.program = warm.Program(self.command, self.folder / "objects.txt", self.environment, self.folder)
        if not warm.until(lambda: answers(self.port, "/healthz"), PATIENCE, 0.1):
            raise RuntimeError(f"The S3 server does not start: {(self.folder / 'objects.txt').read_text()[-1000:]}")

    def kill(self) -> None:
        """At once."""
        self.program.end()
