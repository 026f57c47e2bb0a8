"""Backup and restore: two dumps of PostgreSQL, one tar file of the artifacts, into a folder of their own and back.

Databases first, artifacts after them: what a dump tells of is then in the tar file, which may hold more.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from server import compose

# A command inside a service, its input and its output; raises CalledProcessError.
Inside = Callable[[str, Sequence[str], IO[bytes] | None, IO[bytes] | None], None]

BUCKET = "mlflow"
DUMP = ("pg_dump", "--username=postgres", "--format=custom")
RESTORE = ("pg_restore", "--username=postgres", "--clean", "--if-exists", "--single-transaction", "--exit-on-error")
OBJECTS = ("python", "/etc/iqa/objects.py")
SAVE = {  # file → service, command
    "mlflow.dump": ("db", (*DUMP, "mlflow")),
    "optuna.dump": ("db", (*DUMP, "optuna")),
    "objects.tar": ("mlflow", (*OBJECTS, "save", BUCKET)),
}
LOAD = {
    "mlflow.dump": ("db", (*RESTORE, "--dbname=mlflow")),
    "optuna.dump": ("db", (*RESTORE, "--dbname=optuna")),
    "objects.tar": ("mlflow", (*OBJECTS, "load", BUCKET)),
}


def backup(folder: Path, inside: Inside) -> list[Path]:
    """Write the files into a new folder, whole or not at all; what was written. Raises ValueError if it is there."""
    if folder.exists():
        raise ValueError(f"{folder} is there already: name a folder that is new.")
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True, mode=0o700)  # the dumps hold the hashes of passwords
    for name, (service, words) in SAVE.items():
        with (partial / name).open("wb") as out:
            inside(service, words, None, out)
            os.fsync(out.fileno())
    partial.rename(folder)
    return [folder / name for name in SAVE]


def check(folder: Path) -> None:
    """Raise ValueError if the folder is no whole backup."""
    missing = [name for name in LOAD if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{folder} has no {', '.join(missing)}: give a folder that `make backup` has written.")


def restore(folder: Path, inside: Inside) -> None:
    """Put databases and artifacts back. Raises ValueError if the folder is no whole backup."""
    check(folder)
    for name, (service, words) in LOAD.items():
        with (folder / name).open("rb") as source:
            inside(service, words, source, None)


def engine(service: str, words: Sequence[str], source: IO[bytes] | None, out: IO[bytes] | None) -> None:
    """Inside a container: the running database's, or a new one of the image, so that MLflow itself may be stopped."""
    how = ("exec", "-T") if service == "db" else ("run", "--rm", "-T", "--no-deps")
    command = ["docker", "compose", *how, service, *words]
    subprocess.run(command, check=True, stdin=source or subprocess.DEVNULL, stdout=out, cwd=compose.ROOT)
