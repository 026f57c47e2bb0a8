"""The registered model, from code: MLflow runs this file to load it. It needs the package `iqa` beside it.

A request is one picture or several, each the bytes of an image file or their base64; a column or key `image` if it is
a table. The answer has a row for each: score (0 to 1, higher is better) and opinion (the training opinions' scale).
Paths are read only where the caller itself has loaded the model with model_config={"paths": True}.
"""

import base64
import binascii
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel

COLUMN = "image"
WANTED = (
    'send {"inputs": ["…"]} with the base64 of an image file\'s bytes for each picture, or {"dataframe_records": '
    '[{"image": "…"}]}'
)
SERVER = "mlflow.pyfunc.scoring_server"
IN_SERVER = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # MLflow's server sets it


class Refused(MlflowException):
    """A request that cannot be answered, in one sentence; the server answers 400 with it."""

    def __init__(self, sentence: str):
        self.sentence = sentence
        super().__init__(sentence, BAD_REQUEST)

    @property
    def message(self) -> str:
        """The sentence alone: the server would put the whole request, a megabyte of base64, before it."""
        return self.sentence

    @message.setter
    def message(self, _: str) -> None:
        pass


class Served(PythonModel):
    """Pictures → scores, as `evaluate` gives them."""

    def load_context(self, context: Any) -> None:
        """model_config: device (auto, cpu, cuda, mps), paths (whether strings may be paths)."""
        from iqa.scorer import Scorer

        told = context.model_config or {}
        self.paths = bool(told.get("paths")) and os.environ.get(IN_SERVER) != "true"
        self.scorer = Scorer(Path(context.artifacts["model"]), told.get("device", "auto"))
        without_tracebacks()

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A table with score and opinion, a row for each picture in order. Raises Refused, naming the picture.

        model_input: whatever `listed` takes; the hint is one of those that make MLflow leave the input as it is.
        """
        pictures = listed(model_input)
        found = list(self.scorer.score(self.read(pictures)))
        return pd.DataFrame({"score": found, "opinion": [self.scorer.scale.opinion(score) for score in found]})

    def read(self, pictures: list[Any]) -> Iterator[Any]:
        """One picture after the other, decoded when its turn comes."""
        from iqa.images import ImageError

        for number, picture in enumerate(pictures, start=1):
            name = f"picture {number}"
            try:
                yield self.scorer.read(self.content(picture, name), name)
            except ImageError as error:
                raise Refused(str(error)) from None

    def content(self, picture: Any, name: str) -> bytes | str:
        """The bytes of an image file, or its path where those are allowed. Raises Refused."""
        if isinstance(picture, bytes | bytearray | memoryview):
            return bytes(picture)
        if self.paths and isinstance(picture, str | os.PathLike) and os.path.exists(picture):
            return os.fspath(picture)
        if not isinstance(picture, str):
            raise Refused(f"{name} is {type(picture).__name__}, not bytes or base64: {WANTED}")
        try:
            return base64.b64decode("".join(picture.rpartition("base64,")[2].split()), validate=True)
        except (binascii.Error, ValueError):
            local = "there is no such file either" if self.paths else "paths are not read"
            raise Refused(f"{name} is not base64 ({local}): {WANTED}") from None


def listed(given: Any) -> list[Any]:
    """The pictures of a request, in whatever way MLflow handed it on. Raises Refused."""
    if isinstance(given, dict):
        if COLUMN not in given:
            raise Refused(f"there is no {COLUMN} among {', '.join(map(str, given)) or 'nothing'}: {WANTED}")
        given = given[COLUMN]
    if hasattr(given, "columns"):  # a table
        names = [str(name) for name in given.columns]
        if len(names) != 1 and COLUMN not in names:
            raise Refused(f"the columns are {', '.join(names) or 'none'}, and none of them is {COLUMN}: {WANTED}")
        given = given.iloc[:, names.index(COLUMN) if COLUMN in names else 0]
    if hasattr(given, "tolist") and not isinstance(given, memoryview):
        given = given.tolist()
    pictures = list(given) if isinstance(given, list | tuple) else [given]
    if not pictures:
        raise Refused(f"there is no picture: {WANTED}")
    return [item[COLUMN] if isinstance(item, dict) and COLUMN in item else item for item in pictures]


def without_tracebacks() -> None:
    """MLflow's server answers csv and parquet that it cannot parse with a traceback: from now on with its sentence."""
    server = sys.modules.get(SERVER)
    handler = getattr(server, "_handle_serving_error", None)
    if handler is not None and handler.__defaults__ == (True,):
        handler.__defaults__ = (False,)


set_model(Served())
