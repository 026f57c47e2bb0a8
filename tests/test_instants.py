"""Named instants: a process dies where it was asked to, and nowhere else."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iqa import instants

ROOT = Path(__file__).parent.parent
CODE = "from iqa import instants\nfor n in range(3): instants.reached('after-step'); print(n, flush=True)"


def passing(asked):
    """What a process does that passes one instant three times."""
    environment = os.environ | {instants.VARIABLE: asked, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("asked", "lines"), [("after-step:1", 0), ("after-step:3", 2)])
def test_a_process_kills_itself_at_the_passing_that_was_asked_for(asked, lines):
    done = passing(asked)
    assert done.returncode == -signal.SIGKILL and len(done.stdout.splitlines()) == lines


@pytest.mark.parametrize("asked", ["", "after-step:4", "epoch-end:1"])
def test_nobody_dies_who_was_not_asked_to(asked):
    done = passing(asked)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("asked", ["after-stop:1", "after-step", "after-step:0", "after-step:x"])
def test_an_instant_that_does_not_exist_is_refused_by_name(asked, monkeypatch):
    monkeypatch.setenv(instants.VARIABLE, asked)
    with pytest.raises(ValueError, match="before-rename"):
        instants.reached("after-step")


def test_every_instant_has_its_place_in_the_product_and_every_place_its_name():
    files = [*(ROOT / "iqa").rglob("*.py"), *(ROOT / "entrypoints").rglob("*.py")]
    placed = {name for file in files for name in re.findall(r'reached\("([\w-]+)"\)', file.read_text(encoding="utf-8"))}
    assert placed == set(instants.NAMES)
