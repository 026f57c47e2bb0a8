"""What the tests of runs and their store share."""

import time

from iqa import tracking
from iqa.tracking import store


def opened(folder, stage="pretrain", **more):
    about = {"name": "a name", "params": {"seed": 0, "optim.lr": 5e-05}, "tags": {"cell": "abc"}} | more
    return tracking.open_run(stage, folder, **about)


def stored(run_id):
    return store.client().get_run(run_id)


def arrived(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not arrive"
        time.sleep(0.02)


def folder_with_a_file(run_folder):
    folder = run_folder / "model"
    folder.mkdir()
    (folder / "state.json").write_text("{}")
    return folder
