"""The colour photographs that scikit-image and scikit-learn install, as square crops, with their licences.

They are read from the installed packages and never copied into this project; crops of them lie in the user's cache.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from iqa import images
from iqa.datasets.manifest import DataError

CROPS = 6  # three side by side, in two rows; the second row is mirrored, since small photographs' rows overlap


@dataclass(frozen=True)
class Photograph:
    """Where an installed package keeps it, what may be done with it, and the share of each edge that is left out."""

    package: str
    path: str
    licence: str
    inset: float = 0.0


PHOTOGRAPHS = {
    "astronaut": Photograph("skimage", "data/astronaut.png", "NASA, public domain"),
    "chelsea": Photograph("skimage", "data/chelsea.png", "CC0, Stefan van der Walt"),
    "coffee": Photograph("skimage", "data/coffee.png", "CC0, Rachel Michetti"),
    "rocket": Photograph("skimage", "data/rocket.jpg", "SpaceX, public domain"),
    "hubble": Photograph("skimage", "data/hubble_deep_field.jpg", "NASA, public domain"),
    "ihc": Photograph("skimage", "data/ihc.png", "CMMI, no known copyright restrictions"),
    "retina": Photograph("skimage", "data/retina.jpg", "CC0, Mikael Häggström", inset=0.13),  # a disc on black
    "motorcycle": Photograph("skimage", "data/motorcycle_left.png", "Middlebury Stereo 2014, cite Scharstein et al."),
    "china": Photograph("sklearn", "datasets/images/china.jpg", "CC BY 2.0, danielbuechele (Flickr)"),
    "flower": Photograph("sklearn", "datasets/images/flower.jpg", "CC BY 2.0, vultilion (Flickr)"),
}


def crops(name: str, size: int) -> list[Tensor]:
    """CROPS squares (3, size, size) uint8 of one photograph, apart where it is large enough, scaled down to fit."""
    pixels = images.read(_file(PHOTOGRAPHS[name]))
    edge = [int(PHOTOGRAPHS[name].inset * length) for length in pixels.shape[1:]]
    pixels = pixels[:, edge[0] : pixels.shape[1] - edge[0], edge[1] : pixels.shape[2] - edge[1]]
    height, width = pixels.shape[1:]
    side = min(max(size, min(height // 2, width // 3)), height, width)
    found = []
    for index in range(CROPS):
        row, column = divmod(index, 3)
        top, left = (height - side) * row, (width - side) * column // 2
        square = _scaled(pixels[:, top : top + side, left : left + side], size)
        found.append(square.flip(2).contiguous() if row else square)
    return found


def licences(names: tuple[str, ...]) -> str:
    """One line that says whose photographs these are."""
    return "photographs: " + "; ".join(f"{name} ({PHOTOGRAPHS[name].licence})" for name in names)


def _file(photograph: Photograph) -> Path:
    spec = importlib.util.find_spec(photograph.package)  # finds the package without importing it
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise DataError(
            f"the built-in data needs the package {photograph.package}: install this project's requirements"
        )
    return Path(folders[0]) / photograph.path


def _scaled(square: Tensor, size: int) -> Tensor:
    """(3, S, S) uint8 → (3, size, size) uint8, antialiased bicubic; the same size is left as it is."""
    if square.shape[1] == size:
        return square.contiguous()
    scaled = functional.interpolate(images.unit(square)[None], size=(size, size), mode="bicubic", antialias=True)
    return (scaled[0].clamp(0, 1) * 255).round().to(torch.uint8)
