"""A LoggedModel that MLflow's own tools can load and serve: a checkpoint, and the code that reads it; no pickle."""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from iqa.tracking import store

NEEDED = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "safetensors", "timm", "torch", "torchvision")

CONFIG = {"device": "auto", "paths": False}  # what whoever loads the model may say otherwise, and its defaults


def upload(model: str, folder: Path, code: Path) -> None:
    """The model's files: MLmodel and its environment, `code`, and the checkpoint as artifacts/model.

    MLflow writes its files about a folder that has the smallest file alone, so that weights are never copied.
    """
    from mlflow import pyfunc

    with tempfile.TemporaryDirectory() as temporary:
        small, made = Path(temporary, "model"), Path(temporary, "made")
        small.mkdir()
        smallest = min(folder.iterdir(), key=lambda file: (file.stat().st_size, file.name))
        shutil.copyfile(smallest, small / smallest.name)
        pinned = [f"{name}=={version(name)}" for name in NEEDED]
        files = {"python_model": code, "artifacts": {"model": str(small)}}
        pyfunc.save_model(made, pip_requirements=pinned, model_config=CONFIG, **files)
        store.client().log_model_artifacts(model, str(made))
    store.client().log_model_artifacts(model, str(folder), "artifacts/model")
