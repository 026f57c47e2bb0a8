"""The tracking store: where it is, its client, and the runs that MLflow itself made."""

import getpass
import logging
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from iqa.tracking.answering import StoreError, first_answer, probe, shown

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PREFIX = "cfg."  # of our params: `mlflow run` has logged the raw -P strings under the bare names
SET_ANEW = ("iqa.reason", "iqa.stopped")  # tags of how an attempt ended, which the next one clears
OURS, MARK = "iqa", "iqa.journal"  # our experiment; the tag with the id of a run's journal
LOCAL_UI = "http://127.0.0.1:5000"  # where `mlflow ui` shows a store that is no server
TRAINING = "workflowType=machine_learning"  # without it MLflow's pages open for language models, with no runs in sight
SWITCHES = {  # of MLflow, unless the user has set them
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves the machine unasked
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the journal is the patient one
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def uri() -> str:
    """MLFLOW_TRACKING_URI, else mlflow.db in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def ui() -> str:
    """Where MLflow's pages are."""
    return uri().rstrip("/") if uri().startswith(("http:", "https:")) else LOCAL_UI


def page(experiment: str, run: str) -> str:
    """The page of a run; nothing is asked for it."""
    return f"{ui()}/#/experiments/{experiment}/runs/{run}?{TRAINING}"


def offline() -> bool:
    """Whether IQA_OFFLINE asks to leave the store alone: runs write their journals, and `sync` sends them later."""
    said = os.environ.get("IQA_OFFLINE", "").lower()
    if said not in ("", "0", "1", "false", "true"):
        raise StoreError(f"IQA_OFFLINE is true or false, not '{said}'.")
    return said in ("1", "true")


def reach() -> None:
    """Raise StoreError within seconds if a server answers no request; a file is no server, and offline nobody asks."""
    if not offline() and not uri().startswith("sqlite:"):
        _client(uri())


def client() -> "MlflowClient":
    """The client of the store. Raises StoreError within seconds if nothing answers there."""
    if offline():
        raise StoreError(
            "This needs the tracking store, and IQA_OFFLINE (offline=true) forbids to ask it: leave it out."
        )
    return _client(uri())


def troubles() -> tuple[type[Exception], ...]:
    """What a store that fails raises; requests' errors are OSErrors, boto's are known once it is in use."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    boto = sys.modules.get("botocore.exceptions")
    transfers = sys.modules.get("boto3.exceptions")
    more = (boto.BotoCoreError, boto.ClientError) if boto else ()
    return (
        MlflowException,
        SQLAlchemyError,
        OSError,
        StoreError,
        *more,
        *((transfers.Boto3Error,) if transfers else ()),
    )


def experiment_id(name: str) -> str:
    """The id of the experiment that MLFLOW_EXPERIMENT_ID or _NAME says, else of `name`; made if it is not there."""
    if os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    return named_experiment(experiment_name(name))


def experiment_name(name: str) -> str:
    """What MLFLOW_EXPERIMENT_NAME says, else `name`."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or name


def named_experiment(name: str) -> str:
    """The id of the experiment of this name; made if it is not there."""
    from mlflow.exceptions import MlflowException

    found = client().get_experiment_by_name(name)
    if found is None:
        try:
            return client().create_experiment(name, artifact_location=_artifact_location())
        except MlflowException:  # another process was faster
            found = client().get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise StoreError(
            f"The experiment '{name}' was deleted: run `mlflow experiments restore -x {found.experiment_id}`, "
            "or set MLFLOW_EXPERIMENT_NAME to another."
        )
    return found.experiment_id


def home_experiments(name: str) -> list[str]:
    """Ids of the experiments where this command's runs are: its own, and MLflow's Default beside ours.

    `mlflow run` without --experiment-name puts them into Default, everything else into `name`.
    """
    given = os.environ.get("MLFLOW_EXPERIMENT_ID", "")
    if given not in ("", "0"):
        return [given]
    own = experiment_name(name)
    names = [own, "Default"] if own == name else [own]
    found = (client().get_experiment_by_name(one) for one in names)
    return [one.experiment_id for one in found if one is not None]


def find_run(run_id: str) -> "Run | None":
    """The run, or None if the store has none of that id, or a deleted one."""
    from mlflow.exceptions import MlflowException

    try:
        run = client().get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def known(run_id: str) -> "Run | None":
    """The run of this id, or the one that the journal of this id became (an offline run's id is its journal's)."""
    found = find_run(run_id)
    if found is None and re.fullmatch("[0-9a-f]{32}", run_id):
        became = marked_run(home_experiments(OURS), {MARK: run_id})
        found = find_run(became) if became else None
    return found


def create_run(experiment: str, stage: str, name: str, tags: dict[str, str], start: int) -> str:
    """A new run with the tags that MLflow's own start_run would have set; its id."""
    own = {
        "mlflow.user": _user(),
        "mlflow.source.name": Path(sys.argv[0]).name,
        "mlflow.source.type": "LOCAL",
        "mlflow.project.entryPoint": stage,
    }
    run = client().create_run(experiment, start_time=start, run_name=name, tags=own | tags)
    return run.info.run_id


def marked_run(experiments: list[str], mark: dict[str, str]) -> str | None:
    """The id of the run in these experiments that has these tags."""
    query = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in mark.items())
    found = client().search_runs(experiments, query, max_results=1) if experiments else []
    return found[0].info.run_id if found else None


def take_over(run_id: str, stage: str, name: str, tags: dict[str, str]) -> str:
    """Name and tag the run that `mlflow run` made for us; the id of its experiment."""
    run = find_run(run_id)
    if run is None:
        raise StoreError(f"MLFLOW_RUN_ID is {run_id}, but {shown(uri())} has no such run: unset it or set the store.")
    entry = {} if "mlflow.project.entryPoint" in run.data.tags else {"mlflow.project.entryPoint": stage}
    client().update_run(run_id, name=name)
    for key, value in (tags | entry).items():
        client().set_tag(run_id, key, value)
    return run.info.experiment_id


def reopen(run_id: str, tags: dict[str, str]) -> None:
    """Set an interrupted or failed run going again."""
    client().update_run(run_id, status="RUNNING")
    clear(run_id)
    for key, value in tags.items():
        client().set_tag(run_id, key, value)


def clear(run_id: str) -> None:
    """Take away what an attempt that ended said of its end."""
    run = client().get_run(run_id)
    for key in SET_ANEW:
        if key in run.data.tags:
            client().delete_tag(run_id, key)


@cache
def _client(address: str) -> "MlflowClient":
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    probe(address)
    from filelock import FileLock
    from mlflow.tracking import MlflowClient

    # tables made; that a served model takes any input; tracebacks of what is raised too
    for noisy in ("mlflow.store.db.utils", "mlflow.pyfunc", "urllib3.connectionpool"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    if not address.startswith("sqlite:"):
        made = MlflowClient(tracking_uri=address)
        first_answer(made, address, SWITCHES)
        return made
    database = file_of(address)
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):  # two processes that create the tables at once both fail
        return MlflowClient(tracking_uri=address)


def _artifact_location() -> str | None:
    """mlartifacts beside a SQLite file, else in the working directory; a server decides for itself."""
    address = uri()
    if address.startswith(("http:", "https:")):
        return None
    folder = file_of(address).parent if address.startswith("sqlite:") else Path.cwd()
    return (folder / "mlartifacts").absolute().as_uri()


def file_of(address: str) -> Path:
    """The file of a SQLite address."""
    return Path(unquote(address.removeprefix("sqlite:///")))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
