"""Whether anything answers at a tracking store's address, found out in about ten seconds; a database: its port."""

import http.client
import os
import re
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
PATIENCE = 5.0  # seconds for a connection
FIRST = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "4", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}  # until it has answered once
WITHOUT = "or go on without it with offline=true and send everything later with `iqa sync`"
AILING = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")  # MLflow's codes


class StoreError(ValueError):
    """The store does not answer, or does not have what was asked for."""


class Away(StoreError):
    """Nothing answers at the store's address."""


def probe(address: str) -> None:
    """Raise StoreError unless a server at this address takes a connection; a file needs its folder."""
    parts = urlsplit(address)
    port = PORTS.get(parts.scheme.split("+")[0])
    if port is None or not parts.hostname:
        return
    try:
        if parts.scheme in ("http", "https"):
            _knock(parts.scheme, parts.hostname, parts.port or port, f"{parts.path.rstrip('/')}/health")
        else:
            socket.create_connection((parts.hostname, parts.port or port), timeout=PATIENCE).close()
    except (OSError, http.client.HTTPException) as error:
        raise _away(address, error) from None


def first_answer(client: "MlflowClient", address: str, ours: Mapping[str, str]) -> None:
    """Raise Away unless the store itself answers: a server's door may open while its database hangs.

    ours: the values of MLflow's variables that are in force unless the user has set others, which then stay.
    """
    from mlflow.exceptions import MlflowException

    usual = {name: ours[name] for name in FIRST if os.environ.get(name) == ours[name]}
    os.environ.update({name: FIRST[name] for name in usual})
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        if error.error_code in AILING:
            if "timed out" not in str(error):
                raise _away(address, error) from None
            raise Away(
                f"The tracking store at {shown(address)} takes connections, but answers no request: look at its log "
                f"and its database, {WITHOUT}."
            ) from None
    finally:
        os.environ.update(usual)


def shown(address: str) -> str:
    """A store's address without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", address)


def _away(address: str, error: Exception) -> Away:
    return Away(
        f"The tracking store at {shown(address)} does not answer ({error}): start it, set MLFLOW_TRACKING_URI, "
        f"{WITHOUT}."
    )


def _knock(scheme: str, host: str, port: int, path: str) -> None:
    """Any answer but a server's own error will do; nothing secret is sent, so certificates are left to the client."""
    made: http.client.HTTPConnection = (
        http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=ssl._create_unverified_context())
        if scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=PATIENCE)
    )
    try:
        made.request("GET", path)
        status = made.getresponse().status
    finally:
        made.close()
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        raise OSError(f"it says {status}")
