"""A tracking server that says no: one sentence with a remedy, exit code 2. The server is a toy, the client MLflow's."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from entrypoints import evaluate
from iqa.tracking import store


@pytest.fixture
def refuse(home, monkeypatch):
    """Starts a server that is well and answers everything else with this status and body."""
    servers = []

    def start(status: int, body: str) -> None:
        class Refusing(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/health" else status)
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                """Nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Refusing))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{servers[-1].server_port}")

    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("user", "status", "body", "sentence"),
    [
        ("", 401, "You are not authenticated.", "asks for a login: set MLFLOW_TRACKING_USERNAME and"),
        ("alice", 401, "You are not authenticated.", "refuses the user 'alice' with this password: set MLFLOW_"),
        ("alice", 403, "Permission denied", "does not let 'alice' do this (experiments/get-by-name): let its"),
        ("alice", 403, "Invalid Host header - possible DNS rebinding attack detected", "does not go by that name"),
    ],
    ids=["no login", "wrong password", "no permission", "another name"],
)
def test_a_refusal_is_one_sentence_and_exit_two(refuse, user, status, body, sentence, monkeypatch, capsys):
    refuse(status, body)
    if user:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret-of-alice")
    assert evaluate.main(["--preset=smoke"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith(f"error: The tracking store at {store.uri()} ")
    assert sentence in said[0] and "secret-of-alice" not in said[0]


def test_who_may_not_write_is_told_which_permission_to_ask_for(refuse, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    refuse(403, "Permission denied")
    assert evaluate.main(["--preset=smoke"]) == 2
    assert (
        "give you EDIT on the experiment 'theirs', or set MLFLOW_EXPERIMENT_NAME to one of" in capsys.readouterr().err
    )
