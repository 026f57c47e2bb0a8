"""Probes of a frozen encoder: what they leave in the run."""

import csv

import numpy as np
import pytest
import torch

from iqa import datasets, encoders
from iqa.stages import probing


class Run:
    def __init__(self, folder):
        self.folder, self.values, self.artifacts = folder, {}, []

    def metrics(self, values, step):
        assert step == 0
        self.values |= values

    def artifact(self, file, folder):
        self.artifacts.append(f"{folder}/{file.name}")


@pytest.fixture(scope="module")
def probed(photos, tmp_path_factory):
    manifest = datasets.load(str(photos))
    parts = {name: manifest.part(name) for name in ("train", "validation", "test")}
    encoder, run = encoders.build("", "bundled", image_size=48), Run(tmp_path_factory.mktemp("run"))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    probing.probe(encoder, parts, 48, 0, run, torch.device("cpu"))
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    return run, parts


def test_probes_with_all_and_with_a_tenth_of_the_labels_are_logged(probed):
    run, parts = probed
    assert run.values["probe/100/labels"] == len(parts["train"])
    assert run.values["probe/10/labels"] == max(3, round(len(parts["train"]) / 10))
    assert all(-1 <= run.values[f"probe/{share}/srcc"] <= 1 for share in ("100", "10"))


def test_the_probes_score_orders_the_levels_of_every_family(probed):
    run, _ = probed
    families = [value for name, value in run.values.items() if name.startswith("probe/ordering/")]
    assert len(families) == 5 and run.values["probe/ordering"] == pytest.approx(np.mean(families))


def test_predictions_and_features_of_the_test_part_are_artifacts(probed):
    run, parts = probed
    name = parts["test"].name
    assert sorted(run.artifacts) == [f"features/{name}.npy", f"probes/{name}-10.csv", f"probes/{name}-100.csv"]
    with (run.folder / "probes" / f"{name}-100.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(parts["test"])
    assert np.load(run.folder / "features" / f"{name}.npy").shape == (len(parts["test"]), 24 + 40 + 112 + 320)
