"""Backup and restore: two dumps of PostgreSQL, one tar file of the artifacts, into a folder of their own and back.

Databases first, artifacts after them: what a dump tells of is then in the tar file, which may hold more.
"""

import os
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from server import compose

# A command inside a service, its input and its output; raises CalledProcessError.
Inside = Callable[[str, Sequence[str], IO[bytes] | None, IO[bytes] | None], None]

BUCKET = "mlflow"
DUMP = ("pg_dump", "--username=postgres", "--format=custom")
RESTORE = ("pg_restore", "--username=postgres", "--single-transaction", "--exit-on-error")
PSQL = ("psql", "--username=postgres", "--dbname=postgres", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
OBJECTS = ("python", "/etc/iqa/objects.py")
SAVE = {  # file → service, command
    "mlflow.dump": ("db", (*DUMP, "mlflow")),
    "optuna.dump": ("db", (*DUMP, "optuna")),
    "objects.tar": ("mlflow", (*OBJECTS, "save", BUCKET)),
}
DATABASES = ("mlflow", "optuna")  # each belongs to a role of its name (databases.sql)


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
    missing = [name for name in SAVE if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{folder} has no {', '.join(missing)}: give a folder that `make backup` has written.")
    try:
        with tarfile.open(folder / "objects.tar", "r:") as archive:
            archive.getmembers()  # to its end, without reading what is in them
    except tarfile.ReadError as error:
        raise ValueError(f"{folder / 'objects.tar'} is cut or no tar file ({error}): give another backup.") from error


def restore(folder: Path, inside: Inside) -> None:
    """Put databases and artifacts back. Raises ValueError if the folder is no whole backup.

    Each dump becomes a new database, and takes the old one's place when all of them are whole: tables that the server
    has and the dump does not, as a later version's, are gone with it, and a damaged dump changes nothing. Tables of an
    earlier version are then brought up to date. Given again after a break it begins anew.
    """
    check(folder)
    for name in DATABASES:
        inside("db", sql(f"DROP DATABASE IF EXISTS {name}_new", f"CREATE DATABASE {name}_new OWNER {name}"), None, None)
        with (folder / f"{name}.dump").open("rb") as source:
            inside("db", (*RESTORE, f"--dbname={name}_new"), source, None)
    for name in DATABASES:
        swap = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"ALTER DATABASE {name}_new RENAME TO {name}"
        inside("db", sql(f"REVOKE ALL ON DATABASE {name}_new FROM PUBLIC", *swap), None, None)
    with (folder / "objects.tar").open("rb") as source:
        inside("mlflow", (*OBJECTS, "load", BUCKET), source, None)
    inside("mlflow", ("mlflow", "db", "upgrade", compose.address("mlflow")), None, None)
    inside("dashboard", ("optuna", "storage", "upgrade", "--storage", compose.address("dashboard")), None, None)


def sql(*statements: str) -> tuple[str, ...]:
    """A command that says them to the database server, each by itself: a database is not dropped in a transaction."""
    return (*PSQL, *(f"--command={one}" for one in statements))


def engine(service: str, words: Sequence[str], source: IO[bytes] | None, out: IO[bytes] | None) -> None:
    """Inside a container: the running database's, or a new one of the image, so that MLflow itself may be stopped."""
    how = ("exec", "-T") if service == "db" else ("run", "--rm", "-T", "--no-deps")
    command = ["docker", "compose", *how, service, *words]
    subprocess.run(command, check=True, stdin=source or subprocess.DEVNULL, stdout=out, cwd=compose.ROOT)
