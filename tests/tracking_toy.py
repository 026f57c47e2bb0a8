"""What the tests of runs and their store share."""

import builtins
import os
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


class Outage:
    """The database gone, and a folder in its place: nothing can open that as one."""

    def __init__(self, database):
        self.database, self.away = database, database.with_suffix(".away")

    def __enter__(self):
        self.database.rename(self.away)
        self.database.mkdir()

    def __exit__(self, *_):
        self.database.rmdir()
        self.away.rename(self.database)


def folder_with_a_file(run_folder):
    folder = run_folder / "model"
    folder.mkdir()
    (folder / "state.json").write_text("{}")
    return folder


def another_user_s(monkeypatch, folder, mode="r"):
    """Whatever lies in a folder may be read alone, or with mode "" not even that; as root, whom no mode stops."""
    opens, accesses, builtin = os.open, os.access, builtins.open
    inside = f"{folder.absolute()}{os.sep}"

    def theirs(path):
        return isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(inside)

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    def opened_by_number(path, flags, *more, **named):
        written = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return refused(path) if theirs(path) and (written or not mode) else opens(path, flags, *more, **named)

    def opened_by_name(path, how="r", *more, **named):
        closed = theirs(path) and (not mode or set(how) & set("wax+"))
        return refused(path) if closed else builtin(path, how, *more, **named)

    def allowed(path, wanted, **named):
        closed = theirs(path) and (not mode or wanted & os.W_OK)
        return not closed and accesses(path, wanted, **named)

    monkeypatch.setattr(os, "open", opened_by_number)
    monkeypatch.setattr(os, "access", allowed)
    monkeypatch.setattr(builtins, "open", opened_by_name)
    monkeypatch.setattr("io.open", opened_by_name)
