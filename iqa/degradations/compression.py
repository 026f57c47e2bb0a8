"""Compression by the real codecs, Pillow's libjpeg and OpenJPEG, in memory; images are rounded to 8 bits first.

Each function: images (N, 3, H, W) in [0, 1], severities, generators (unused) → (N, L, 3, H, W) in [0, 1]. A batch on
a GPU makes the way to the CPU and back. One thread a core, which helps a little: Pillow holds the interpreter's lock
within OpenJPEG, and most of the time within libjpeg.
"""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

_RESOLUTIONS = 8  # of the wavelet transform, where the image is large enough (ARNIQA)


def jpeg(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """JPEG at a quality in 1…100, Pillow's defaults otherwise (chroma halved in both directions)."""
    return _coded(images, severities, lambda quality: {"format": "JPEG", "quality": round(quality)})


def jpeg2000(images: Tensor, severities: Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """JPEG 2000 at a compression ratio (raw bytes / bytes of the code stream), one quality layer, reversible wavelet.

    Without the file format's boxes and the coder's version: with them, 250 bytes are gone before the first pixel, and
    ratios 120 and 170 were one and the same on 96² pixels; so they differ down to 80² (measured).
    """
    resolutions = min(_RESOLUTIONS, min(images.shape[-2:]).bit_length())

    def options(ratio: float) -> dict[str, Any]:
        rates = {"quality_mode": "rates", "quality_layers": [ratio], "num_resolutions": resolutions}
        return {"format": "JPEG2000", "progression": "LRCP", "no_jp2": True, "comment": " "} | rates

    return _coded(images, severities, options)


def _coded(images: Tensor, severities: Sequence[float], options: Callable[[float], dict[str, Any]]) -> Tensor:
    """Each image written and read at each severity."""
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()
    jobs = [(image, options(severity)) for image in pixels for severity in severities]
    with ThreadPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as pool:
        coded = np.stack(list(pool.map(lambda job: _written_and_read(*job), jobs)))  # (N·L, H, W, 3)
    coded_images = torch.from_numpy(coded).to(images.device).permute(0, 3, 1, 2).contiguous().to(images.dtype)
    return coded_images.div_(255).reshape(len(images), len(severities), *images.shape[1:])


def _written_and_read(pixels: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """(H, W, 3) uint8 through a codec and back."""
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, **options)
        file.seek(0)
        with Image.open(file, formats=[options["format"]]) as image:
            return np.asarray(image.convert("RGB"))
