"""What the tests of the stages share: configs of seconds, and runs that stop or remember."""

import torch

from iqa import checkpoint, config, encoders, scorer, tracking
from iqa.hyperiqa import HyperHead, QualityModel
from iqa.stages import stage

TINY = {"compute.threads": "1", "compute.device": "cpu"}
PRETRAIN = TINY | {"degrade.crop": "32", "epochs": "2", "batch_size": "6", "levels": "3", "families": "jpeg,brightness"}
FINETUNE = TINY | {"crops.size": "32", "crops.validation": "1", "crops.grid": "2", "epochs": "3", "batch_size": "6"}


class StopsAt(tracking.Silent):
    """A run that is asked to stop after a number of steps."""

    def __init__(self, folder, steps):
        super().__init__(folder)
        self.left = steps

    def stop_requested(self):
        self.left -= 1
        return 15 if self.left <= 0 else 0


class Recorded(tracking.Silent):
    """A run that keeps its metrics, tags, and the names of its artifacts."""

    def __init__(self, folder):
        super().__init__(folder)
        self.values, self.told, self.artifacts = {}, {}, []

    def metrics(self, values, step):
        self.values |= {(name, step): value for name, value in values.items()}

    def tags(self, values):
        self.told |= values

    def artifact(self, path, to=""):
        self.artifacts.append(to or path.name)


def settings(name, photos, **more):
    given = {"pretrain": PRETRAIN, "finetune": FINETUNE}[name] | {"data": str(photos)}
    return config.load(name, given | {key.replace("__", "."): value for key, value in more.items()}, "smoke")


def done(name, told, run):
    records = list(stage(name)(told, run))
    return records, run.folder / {"pretrain": "encoder", "finetune": "model"}[name]


def weights(folder, kind):
    return checkpoint.read(folder, kind=kind)["weights"]


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def untrained(folder, crop=32, grid=2, size="native"):
    """A model's artifact as fine-tuning leaves it, with first weights: its scores are functions of a picture."""
    encoder = encoders.build("", "bundled", image_size=crop)
    model = QualityModel(encoder, HyperHead(encoder.channels, seed=1))
    told = config.flatten(config.load("finetune", FINETUNE | {"crops.size": str(crop)}, "smoke"))
    origin = {"run": "0123456789abcdef" * 2, "epoch": 1, "seen": [], "families": [], "validation_srcc": 0.5}
    about = (scorer.Preprocessing(crop, grid, size, "bicubic", 48), scorer.Scale("toys", "opinion scores", 0.0, 100.0))
    return scorer.save(folder, model, told, origin, *about)
