"""What several test files share: a folder of photographs small enough to train on, and a store of its own."""

import csv

import pytest
import torch

from iqa import degradations, images
from iqa.randomness import generator


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of 30 pictures of 48 × 56: six smooth scenes, each at five strengths of noise, and their scores."""
    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for scene in range(6):
        field = torch.rand(1, 3, 6, 7, generator=generator("scene", scene))
        smooth = torch.nn.functional.interpolate(field, (48, 56), mode="bicubic").clamp(0, 1)
        noisy = degradations.degrade(smooth, "white_noise", (1e-4, 0.005, 0.02, 0.05, 0.1), [generator("n", scene)])
        for level, picture in enumerate(noisy[0]):
            name = f"{scene}-{level}.png"
            images.save_png((picture * 255).round().to(torch.uint8), folder / name)
            rows.append((name, f"{100 - 20 * level:.1f}", f"scene{scene}"))
    with (folder / "scores.csv").open("w", newline="") as out:
        csv.writer(out).writerows([("image", "mos", "group"), *rows])
    return folder


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """A SQLite store of its own; its tables cost seconds, hence one for all tests."""
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture
def home(database, tmp_path, monkeypatch):
    """An empty working directory with an experiment of its own, and nothing from the shell around."""
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "IQA_RUNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path
