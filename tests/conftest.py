"""What several test files share: a folder of photographs small enough to train on, and a store of its own."""

import json

import pytest
import torch

from benchmarks import toys
from iqa.report import kept


@pytest.fixture(scope="session", autouse=True)
def pictures(tmp_path_factory):
    """A report's pictures are drawn in this session, never found from an earlier one; the folder that keeps them."""
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "folder", lambda: folder)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def unwatched():
    """No test depends on how busy the machine was; processes that a test starts are not watched either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of 30 pictures of 48 × 56: six smooth scenes, each at five strengths of noise, and their scores."""
    folder = tmp_path_factory.mktemp("photos")
    toys.photographs(folder)
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


@pytest.fixture(name="toys")
def study_of_toys(home, photos, monkeypatch):
    """The study command with stages that take no time, everything of it in an empty folder."""
    from benchmarks import study_toy
    from entrypoints import study
    from iqa.experiment import cells

    monkeypatch.setattr(cells, "stage_of", study_toy.STAGES.__getitem__)
    monkeypatch.setenv(study_toy.LOG, str(home / "toy.jsonl"))
    monkeypatch.setenv("OPTUNA_STORAGE", f"sqlite:///{home}/optuna.db")
    words = ["--preset=smoke", "--epochs=4", "--compute.threads=1", f"--data={photos}"]
    return lambda *more: study.main([*words, *more])


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A folder with a small randomly initialised model of open_clip, as open_clip itself would keep one."""
    import open_clip
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("clip")
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    words = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    about = {"model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": words}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(about))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(net.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No connection can be opened, and the hub's cache is an empty folder, which is returned."""
    import socket

    from huggingface_hub import constants

    def refused(*arguments: object) -> None:
        raise ConnectionRefusedError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path
