"""A store's own errors as sentences with a remedy: no login, no permission, a name that is not its, anything else."""

import os
import re

from iqa.tracking import store

HOST_REFUSED = "Invalid Host header"  # how MLflow's server says that it does not go by a name


def troubled(error: Exception) -> str:
    """What a store's own error comes to, for a person."""
    where = store.shown(store.uri())
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if HOST_REFUSED in said:
        return (
            f"The tracking store at {where} does not go by that name: use one that it knows, or let its administrator "
            "add this one to MLFLOW_HOSTS."
        )
    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    code = getattr(error, "error_code", "")
    if code == "UNAUTHENTICATED":
        whom = f"refuses the user '{user}' with this password" if user else "asks for a login"
        return f"The tracking store at {where} {whom}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
    if code == "PERMISSION_DENIED":
        return (
            f"The tracking store at {where} does not let '{user}' do this ({asked(said)}): let its administrator give "
            f"you EDIT on the experiment '{store.experiment_name(store.OURS)}', or set MLFLOW_EXPERIMENT_NAME to one "
            "of your own."
        )
    return (
        f"The tracking store at {where} cannot be used ({said}): set MLFLOW_TRACKING_URI to a server or to "
        "sqlite:///FILE, or move a damaged file out of the way."
    )


def asked(said: str) -> str:
    """What was asked of a server, out of MLflow's sentence about it: "runs/create"."""
    found = re.search(r"endpoint \S*?/mlflow/(\S+)", said)
    return found[1] if found else said
