"""Whether anything answers at a store's address: one sentence, and soon."""

import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tracking_toy import opened

from iqa import tracking
from iqa.tracking import answering, shipping, store


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    """A working directory and an experiment of its own, and no pauses."""
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
def test_a_store_that_does_not_answer_is_one_sentence_at_the_start(tmp_path, monkeypatch, scheme):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://me:secret@127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(tracking.StoreError, match="does not answer.*MLFLOW_TRACKING_URI") as refused:
        opened(tmp_path / "run").__enter__()
    assert time.monotonic() - began < 10 and "secret" not in str(refused.value)
    with pytest.raises(tracking.StoreError):  # the lock was given back
        opened(tmp_path / "run").__enter__()


class Hangs(BaseHTTPRequestHandler):
    """/health is well, and nothing else is ever answered: what a server does whose database hangs."""

    def do_GET(self):
        if self.path != "/health":
            self.server.leave.wait(60)
        self.send_response(200)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def hanging(monkeypatch):
    """The address of a server that hangs behind its door."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hangs)
    server.leave = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.leave.set()
    server.shutdown()
    server.server_close()


def test_a_server_that_hangs_behind_its_door_is_one_sentence_too(hanging, tmp_path, monkeypatch):
    monkeypatch.setitem(answering.FIRST, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    usual = {name: store.SWITCHES[name] for name in answering.FIRST}
    for name, value in usual.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(tracking.StoreError, match="takes connections, but answers no request: look at its log") as said:
        opened(tmp_path / "run").__enter__()
    with pytest.raises(tracking.StoreError, match="answers no request"):  # before the data are read
        store.reach()
    assert len(str(said.value).splitlines()) == 1
    assert {name: os.environ[name] for name in usual} == usual, "later requests have the time that they had"


def test_what_the_user_has_set_holds_for_the_first_answer_too(monkeypatch):
    class Client:
        def search_experiments(self, **_):
            asked.append(
                [os.environ[name] for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")]
            )

    asked = []
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", store.SWITCHES["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    answering.first_answer(Client(), "http://x", store.SWITCHES)
    assert asked == [["120", answering.FIRST["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]]]
