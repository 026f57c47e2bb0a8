"""The store itself: whether it answers, when its tables are made."""

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock
from tracking_toy import opened

from iqa import tracking
from iqa.tracking import answering, shipping, store

ROOT = Path(__file__).parent.parent


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
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "50")
    with pytest.raises(tracking.StoreError, match="does not answer.*MLFLOW_TRACKING_URI") as refused:
        opened(tmp_path / "run").__enter__()
    assert len(str(refused.value).splitlines()) == 1
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "50", "later requests have the time that they had"


def test_tracking_is_imported_without_mlflow():
    code = "import sys, iqa.tracking; sys.exit(bool({'mlflow', 'torch', 'filelock'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_tables_of_a_new_store_are_made_by_one_process_at_a_time(tmp_path, monkeypatch):
    database = tmp_path / "new" / "mlflow.db"
    database.parent.mkdir()
    store.client()  # what is imported for it is there when the clock runs
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    asked = threading.Thread(target=store.client)
    with FileLock(f"{database}.lock"):
        asked.start()
        asked.join(3)
        assert asked.is_alive() and not database.exists(), "it does not wait for who makes them"
    asked.join(60)
    assert database.stat().st_size > 0
