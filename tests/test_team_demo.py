"""The experiment against the team's server, whose parts are killed amid it, is the one in the embedded store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.team import stack

ROOT = Path(__file__).parent.parent


@pytest.mark.processes
@pytest.mark.timeout(3000)
def test_the_experiment_is_the_same_against_the_server_whose_parts_were_killed_amid_it(tmp_path):
    if stack.lacking():
        pytest.skip(f"not here: {', '.join(stack.lacking())}")
    command = [sys.executable, "-m", "benchmarks.team", "--preset=smoke", "--seeds=0", "--device=cpu"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed and started again: mlflow, objects" in done.stdout
    assert "the same in both stores" in done.stdout and "report: the same bytes" in done.stdout
    assert not list(tmp_path.iterdir())  # neither folders nor, with them, anything that writes there
