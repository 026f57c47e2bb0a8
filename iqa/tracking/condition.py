"""What can be said of the tracking store without MLflow's client, in seconds: is it there, which one, are we let in."""

import base64
import configparser
import http.client
import os
import sqlite3
import ssl
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from iqa.tracking import answering, refusing, store

SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
SERVERS = ("http", "https")


class Refused(Exception):
    """What a server answered; MLflow's code for it."""

    def __init__(self, said: str, error_code: str):
        super().__init__(said)
        self.error_code = error_code


def condition() -> tuple[str, str]:
    """(what the store is, what has to be done about it: "" if nothing). Nothing is written, made or waited for long."""
    address = store.uri()
    if store.offline():
        return f"{store.shown(address)} is not asked: IQA_OFFLINE is set; `iqa sync` sends everything later", ""
    try:
        answering.probe(address)
        kind = urlsplit(address).scheme.split("+")[0]
        if kind in SERVERS:
            return _server(address), ""
        return (_file(address) if kind == "sqlite" else f"{store.shown(address)} takes connections"), ""
    except store.StoreError as error:
        return f"{store.shown(address)} cannot be used", str(error)
    except (Refused, sqlite3.Error, OSError, http.client.HTTPException) as error:
        return f"{store.shown(address)} cannot be used", refusing.troubled(error)


def login() -> str:
    """As whom a server is asked: from the environment, else from the file where MLflow keeps it; never the password."""
    if os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return "a token (MLFLOW_TRACKING_TOKEN)"
    user, password = _credentials()
    if user and not password:
        return f"user '{user}' without a password: set MLFLOW_TRACKING_PASSWORD"
    return f"user '{user}'" if user else "no user: none is set (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD)"


def _credentials() -> tuple[str, str]:
    read = configparser.ConfigParser(interpolation=None)
    read.read(Path("~/.mlflow/credentials").expanduser())
    kept = read["mlflow"] if read.has_section("mlflow") else {}
    user, password = (
        os.environ.get(name.upper()) or kept.get(name, "")
        for name in ("mlflow_tracking_username", "mlflow_tracking_password")
    )
    return user, password


def _file(address: str) -> str:
    """Of a SQLite file that may not be there yet. Raises sqlite3.Error for one that is no database."""
    file = store.file_of(address)
    if not file.is_file():
        return f"{file} is made on first use"
    address = f"{file.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=answering.PATIENCE)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        count = database.execute("select count(*) from runs").fetchone()[0] if "runs" in tables else 0
    return f"{file}, {count:,} runs"


def _server(address: str) -> str:
    """Of a server that lets us in. Raises Refused where it does not."""
    status, said = _ask(address, SEARCH)
    codes = {int(http.HTTPStatus.UNAUTHORIZED): "UNAUTHENTICATED", int(http.HTTPStatus.FORBIDDEN): "PERMISSION_DENIED"}
    if status != http.HTTPStatus.OK:
        raise Refused(said.strip() or f"it says {status}", codes.get(status, ""))
    status, theirs = _ask(address, "/version")
    known = theirs.strip() if status == http.HTTPStatus.OK else "of an unknown version"
    ours = version("mlflow-skinny")
    return f"{store.shown(address)} answers, MLflow {known}" + ("" if known == ours else f" (here: {ours})")


def _ask(address: str, path: str) -> tuple[int, str]:
    """Status and first words of what a server answers to us."""
    place = urlsplit(address)
    user, password = _credentials()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if user and password and not token:
        headers = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    if place.scheme == "https":
        made: http.client.HTTPConnection = http.client.HTTPSConnection(
            place.hostname or "", place.port, timeout=answering.PATIENCE, context=ssl.create_default_context()
        )
    else:
        made = http.client.HTTPConnection(place.hostname or "", place.port, timeout=answering.PATIENCE)
    with closing(made):
        made.request("GET", f"{place.path.rstrip('/')}{path}", headers=headers)
        answer = made.getresponse()
        return answer.status, answer.read(300).decode("utf-8", "replace")
