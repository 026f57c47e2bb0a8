"""A finished model with the preprocessing that it was trained with: its artifact, and pictures → scores."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iqa import batches, checkpoint, encoders, images, machine
from iqa.datasets import Manifest
from iqa.datasets.sizes import SIZE
from iqa.hyperiqa import HyperHead, QualityModel


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a picture before the model: its size, then a fixed grid of crops whose scores are averaged.

    crop: side in pixels; grid: crops a side; size: as images.target reads it; resample: the filter; short_side: the
    training pictures' median at that size, in pixels.
    """

    crop: int
    grid: int
    size: str
    resample: str
    short_side: int


@dataclass(frozen=True)
class Scale:
    """What the training opinions were: their kind, and the two that became the scores 0 and 1."""

    data: str
    are: str
    low: float
    high: float

    def opinion(self, score: float) -> float:
        """A score on the opinions' scale."""
        return self.low + score * self.span

    @property
    def span(self) -> float:
        """From the worst to the best."""
        return self.high - self.low

    def __str__(self) -> str:
        return f"{self.are} of {self.data}, {self.low:g} (worst) to {self.high:g} (best)"


def preprocessing_of(train: Manifest, crop: int, grid: int) -> Preprocessing:
    """Of a model that was trained on these pictures, for pictures of any shape.

    An exact size such as 512x384 becomes its short side, so that nothing is squeezed; several sizes become native.
    """
    columns = zip(*(train.table[name] for name in ("width", "height", "size")), strict=True)
    shapes = [(images.target(wide, high, size or images.NATIVE), size) for wide, high, size in columns]
    sizes = {size or images.NATIVE for _, size in shapes}
    size = sizes.pop() if len(sizes) == 1 else images.NATIVE
    if "x" in size:
        size = str(min(map(int, size.split("x"))))
    sides = sorted(int(min(shape)) for shape, _ in shapes)
    return Preprocessing(crop, grid, size, train.resample, sides[len(sides) // 2])


def save(
    folder: Path,
    model: QualityModel,
    config: dict[str, Any],
    origin: dict[str, Any],
    preprocessing: Preprocessing,
    scale: Scale,
) -> Path:
    """The artifact `model`: weights, what rebuilds them, the preprocessing, the scale and where it came from."""
    tree = encoders.tree(model.encoder, config)
    head = {name: config[f"model.{name}"] for name in ("multi_scale", "attention", "dropout")}
    about = {"head": head, "origin": origin, "preprocessing": vars(preprocessing), "scale": vars(scale)}
    return checkpoint.write(folder, tree | about | {"weights": model.state_dict()}, kind="model")


def load(folder: Path, crop: int = 0, bfloat16: bool = False) -> tuple[QualityModel, dict[str, Any]]:
    """The model of an artifact, strictly loaded, and the artifact's tree without the weights; crop: 0 = its own."""
    tree = checkpoint.read(folder, kind="model")
    side = crop or tree["config"]["crops.size"]
    encoder = encoders.build(tree["encoder"]["name"], "random", image_size=side, bfloat16=bfloat16)
    model = QualityModel(encoder, HyperHead(encoder.channels, **tree["head"]))
    weights = tree.pop("weights")
    encoders.adopt(model, f"{tree['encoder']['name']} with its head", weights, str(folder))
    return model, tree


@torch.no_grad()
def scores(
    model: nn.Module, crops: Iterable[tuple[Tensor, Tensor]], count: int, device: torch.device
) -> Iterator[float]:
    """The mean score over each picture's `count` crops (N, 3, C, C) uint8, picture by picture as they are whole."""
    model.eval()
    rest = torch.empty(0, dtype=torch.float64)
    for pixels, _ in crops:
        rest = torch.cat([rest, model(batches.pixels_to(pixels, device)).double().cpu()])
        whole = len(rest) // count * count
        yield from (rest[:whole].view(-1, count).sum(dim=1) / count).tolist()
        rest = rest[whole:]


class Scorer:
    """Scores any pictures as the evaluation of a data set would: read(…) each of them, then `score` them."""

    def __init__(self, folder: Path, device: str = "auto", size: str = ""):
        """folder: a model's artifact; size: another input size than the training's, as images.target reads it."""
        self.device = machine.device(device)
        model, self.about = load(folder)
        if "preprocessing" not in self.about:
            raise checkpoint.CheckpointError(
                f"{folder} was left by an earlier version, without its preprocessing: fine-tune again."
            )
        self.preprocessing, self.scale = Preprocessing(**self.about["preprocessing"]), Scale(**self.about["scale"])
        self.size = size or self.preprocessing.size
        if not SIZE.fullmatch(self.size):
            raise ValueError(
                f"input_size = '{size}': a size is native, the short side in pixels (512), or width x height (512x384)."
            )
        self.model = machine.channels_last(model, self.device)

    @property
    def run(self) -> str:
        """The run that left the model."""
        return self.about["origin"]["run"]

    def told(self) -> dict[str, str]:
        """What a reader of scores has to know of them, in words."""
        told, validation = self.preprocessing, self.about["origin"].get("validation_srcc")
        size = "as they are" if self.size == images.NATIVE else f"brought to {self.size} ({told.resample})"
        crops = f"the mean over {told.grid**2} crops" if told.grid > 1 else "its central crop"
        known = {"validation": f"SRCC {validation:.3f} on the part that selected it"} if validation is not None else {}
        return {
            "scores": f"predictions of {self.scale}",
            **known,
            "pictures": f"{size}, each by {crops} of {told.crop}×{told.crop} pixels",
        }

    def read(self, picture: str | os.PathLike[str] | bytes, name: str = "") -> Tensor:
        """A file, or its bytes, at the input size: (3, H, W) uint8. Raises ImageError, also where no crop fits in.

        name: what a sentence calls the bytes.
        """
        told: Any = {"size": self.size, "resample": self.preprocessing.resample}
        if isinstance(picture, bytes):
            pixels = images.decode(picture, name, **told)
        else:
            pixels, name = images.read(picture, **told), repr(os.fspath(picture))
        height, width = pixels.shape[1:]
        if min(height, width) < self.preprocessing.crop:
            raise images.ImageError(
                f"{name} is {width}×{height}, smaller than a crop of {self.preprocessing.crop}: give a larger picture"
            )
        return pixels

    def score(self, pictures: Iterable[Tensor]) -> Iterator[float]:
        """The score of each picture in order, 0 to 1 on the training opinions' scale; few pictures are held at once."""
        told = self.preprocessing
        crops = batches.fixed(pictures, crop=told.crop, count=told.grid**2, batch=batches.FORWARD)
        return scores(self.model, batches.ahead(crops), told.grid**2, self.device)
