"""The registered model `iqa`: each version was the best when it came, and the alias `champion` is on the best one."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iqa import disk
from iqa.tracking import store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

NAME, ALIAS = "iqa", "champion"
URI = f"models:/{NAME}@{ALIAS}"
NEVER = ("demo", "smoke")  # presets whose results are no evidence
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model or version; no such alias
CLOSED = ("PERMISSION_DENIED", "FEATURE_DISABLED", "NOT_IMPLEMENTED", "ENDPOINT_NOT_FOUND")  # to us, for good

logger = logging.getLogger("iqa")


@dataclass(frozen=True)
class Result:
    """SRCC on a validation part, and which part that was: its digest, and the protocol that made it."""

    srcc: float
    digest: str
    protocol: str

    def beats(self, other: "Result | None") -> bool:
        """Whether it is better on the same pictures, scores and parts; what was validated otherwise is not compared."""
        if other is None or (self.digest, self.protocol) != (other.digest, other.protocol):
            return False
        return self.srcc > other.srcc


def admitted(preset: str, srcc: float) -> bool:
    """Whether a run may ever leave the champion: not with these presets, nor with an undefined result."""
    return Path(preset).stem not in NEVER and srcc == srcc


def stand(run_id: str, model_id: str, result: Result) -> None:
    """Register a run's model and move the alias to it, if it beats the champion, or if there is none yet.

    Done again, after a kill at any place, it changes nothing more. A registry that is closed to us is named.
    """
    from filelock import FileLock
    from mlflow.exceptions import MlflowException

    try:
        with FileLock(disk.cache_folder() / "champion.lock"):  # two runs that end at once on this machine
            _stand(run_id, model_id, result)
    except MlflowException as error:
        if error.error_code not in CLOSED:
            raise
        logger.warning("The model is not offered to the registry, which refuses it: %s", error)


def _stand(run_id: str, model_id: str, result: Result) -> None:
    held = present()
    before = _result(held)
    if held is not None and (held.run_id == run_id or not result.beats(before)):
        if held.run_id != run_id and (before is None or before.digest != result.digest):
            logger.info("The champion, version %s of %s, was validated on other data: it stays.", held.version, NAME)
        return
    version = _version(run_id) or _register(run_id, model_id, result)
    store.client().set_registered_model_alias(NAME, ALIAS, version)
    was = f", before {before.srcc:.4f}" if before else ""
    logger.info("%s is now version %s: validation SRCC %.4f%s", URI, version, result.srcc, was)


def present() -> "ModelVersion | None":
    """The champion, if there is one."""
    from mlflow.exceptions import MlflowException

    try:
        return store.client().get_model_version_by_alias(NAME, ALIAS)
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def run_of(where: str) -> str:
    """The run that left a model: models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-ID. Raises StoreError."""
    from mlflow.exceptions import MlflowException

    told = re.fullmatch(r"models:/(?:(?P<id>m-[^/@]+)|(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+)))", where)
    if told is None:
        raise store.StoreError(f"'{where}' names no model: write {URI}, models:/{NAME}/VERSION or runs:/ID/model.")
    client = store.client()
    try:
        if told["id"]:
            run = client.get_logged_model(told["id"]).source_run_id
        elif told["alias"]:
            run = client.get_model_version_by_alias(told["name"], told["alias"]).run_id
        else:
            run = client.get_model_version(told["name"], told["version"]).run_id
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        raise store.StoreError(f"{store.shown(store.uri())} has no model {where}: {_hint(where)}") from None
    if not run:
        raise store.StoreError(f"{where} does not say which run left it: give runs:/ID/model or a folder.")
    return run


def _hint(where: str) -> str:
    if where != URI:
        return "check its name, or give runs:/ID/model."
    return f"no run of another preset than {' and '.join(NEVER)} has finished here yet; give runs:/ID/model."


def _result(version: "ModelVersion | None") -> Result | None:
    """What a version was selected with; None if it does not say so, being somebody else's."""
    tags = version.tags if version is not None else {}
    try:
        return Result(float(tags["validation.srcc"]), tags["validation.digest"], tags["validation.protocol"])
    except (KeyError, ValueError):
        return None


def _version(run_id: str) -> str:
    """The version that an attempt before a kill registered, "" if none did."""
    found = store.client().search_model_versions(f"name = '{NAME}' AND run_id = '{run_id}'")
    return str(found[0].version) if found else ""


def _register(run_id: str, model_id: str, result: Result) -> str:
    from mlflow.exceptions import MlflowException

    try:
        store.client().create_registered_model(NAME, description="Image quality; the alias champion is on the best.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    about = {"srcc": repr(result.srcc), "digest": result.digest, "protocol": result.protocol}
    tags = {f"validation.{name}": value for name, value in about.items()}
    made = store.client().create_model_version(NAME, f"models:/{model_id}", run_id, tags=tags, model_id=model_id)
    link = json.dumps([{"name": NAME, "version": made.version}])  # MLflow's page of the model shows it
    store.client().set_logged_model_tags(model_id, {"mlflow.modelVersions": link})
    return str(made.version)
