"""A tracking server for as long as a `with` block, in processes that can be killed and come back with the same data."""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks import postgres
from benchmarks.faults import warm
from benchmarks.faults.place import Place
from benchmarks.plain import HOST

PATIENCE = 120.0  # seconds for a server to answer
ARTIFACTS = "/mlflow-artifacts/"
HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}  # headers of one leg


class Tracking:
    """`mlflow server` on a database, with its artifacts beside it or elsewhere. `address` is where it answers."""

    def __init__(self, folder: Path, environment: dict[str, str], backend: str = "", artifacts: str = ""):
        self.folder, self.port = folder, postgres.free_port()
        self.environment = environment | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.environment.pop("MLFLOW_TRACKING_URI", None)
        self.backend = backend or f"sqlite:///{folder}/mlflow.db"
        self.artifacts = artifacts or str(folder / "stored")
        self.address = f"http://{HOST}:{self.port}"

    def __enter__(self) -> "Tracking":
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()

    def start(self) -> None:
        """Start, and wait until it answers."""
        words = ["server", "--host", HOST, "--port", str(self.port), "--workers", "1"]
        words += ["--backend-store-uri", self.backend, "--artifacts-destination", self.artifacts]
        command = [sys.executable, "-m", "mlflow", *words]
        self.program = warm.Program(command, self.folder / "server.txt", self.environment, self.folder)
        if not warm.until(lambda: answers(self.port), PATIENCE, 0.1):
            raise RuntimeError(f"The server does not start: {(self.folder / 'server.txt').read_text()[-1000:]}")

    def kill(self) -> None:
        """Every process of it, at once."""
        self.program.end()


def answers(port: int, path: str = "/health") -> bool:
    """Whether a server says 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Proxy:
    """In front of a tracking server, in a process of its own: artifacts get 503 while `refuse` says so."""

    def __init__(self, place: Place, behind: int):
        self.place, self.behind, self.port = place, behind, postgres.free_port()
        self.address, self.flag = f"http://{HOST}:{self.port}", place.folder / "refuse"

    def __enter__(self) -> "Proxy":
        out = self.place.folder / "proxy.txt"
        self.child = warm.Child(self._serve, out, self.place.environment(), self.place.folder)
        if not warm.until(lambda: answers(self.port), PATIENCE, 0.05):
            raise RuntimeError("The proxy does not start.")
        return self

    def __exit__(self, *_: Any) -> None:
        self.child.wait(0)

    def refuse(self, yes: bool) -> None:
        self.flag.touch() if yes else self.flag.unlink()

    def _serve(self) -> None:
        handler = type("Passing", (Passing,), {"behind": self.behind, "flag": self.flag})
        ThreadingHTTPServer((HOST, self.port), handler).serve_forever()


class Passing(BaseHTTPRequestHandler):
    """Hands a request on, and its answer back."""

    behind: int
    flag: Path

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if ARTIFACTS in self.path and self.flag.exists():
            self.send_error(http.client.SERVICE_UNAVAILABLE)
            return
        onward = http.client.HTTPConnection(HOST, self.behind, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        onward.request(self.command, self.path, body=body, headers=headers)
        answer = onward.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        onward.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _pass  # noqa: N815
