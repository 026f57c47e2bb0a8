"""The store itself: what it imports, when its tables are made."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from iqa.tracking import shipping, store

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    """A working directory and an experiment of its own, and no pauses."""
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


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
