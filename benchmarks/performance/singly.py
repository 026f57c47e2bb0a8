"""Every family as a user would write it with Pillow, scikit-image, torchvision or SciPy: one image, one severity.

Each function: pixels (H, W, 3) uint8, severity, generator of NumPy → the degraded image, (H, W, 3) uint8 or in [0, 1].
Where several of these packages do the same, the fastest stands here.
"""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from skimage import color, filters, util
from torchvision.transforms.v2 import functional

from iqa.degradations import blur

Pixels = np.ndarray
Degrade = Callable[[Pixels, float, np.random.Generator], Pixels | torch.Tensor]
TONES = np.arange(256) / 255  # of Pillow's tables


def tensor_of(found: Pixels | torch.Tensor) -> torch.Tensor:
    """What a model takes: (3, H, W) float32 in [0, 1]."""
    if isinstance(found, torch.Tensor):
        return found
    if found.dtype == np.uint8:
        return functional.pil_to_tensor(Image.fromarray(found)).float().div_(255)
    return torch.from_numpy(np.ascontiguousarray(found.transpose(2, 0, 1), np.float32))


def _floats(pixels: Pixels) -> torch.Tensor:
    return functional.to_dtype(torch.from_numpy(pixels).permute(2, 0, 1), torch.float32, scale=True)


def gaussian_blur(pixels: Pixels, sigma: float, random: np.random.Generator) -> torch.Tensor:
    size = 2 * int(np.ceil(2 * sigma)) + 1
    return functional.gaussian_blur(_floats(pixels), [size, size], [sigma, sigma])


def _filtered(pixels: Pixels, kernel: Pixels) -> Pixels:
    from scipy.signal import fftconvolve

    reach = len(kernel) // 2
    padded = np.pad(pixels / np.float32(255), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return fftconvolve(padded, kernel[::-1, ::-1, None].astype(np.float32), mode="valid", axes=(0, 1)).clip(0, 1)


def lens_blur(pixels: Pixels, radius: float, random: np.random.Generator) -> Pixels:
    return _filtered(pixels, blur.disc(radius).numpy())


def motion_blur(pixels: Pixels, length: float, random: np.random.Generator) -> Pixels:
    return _filtered(pixels, blur.line(length, np.pi * random.random()).numpy())


def white_noise(pixels: Pixels, variance: float, random: np.random.Generator) -> torch.Tensor:
    return functional.gaussian_noise(_floats(pixels), 0.0, variance**0.5)


def ycbcr_noise(pixels: Pixels, variance: float, random: np.random.Generator) -> Pixels:
    ycbcr = np.asarray(Image.fromarray(pixels).convert("YCbCr")) / np.float32(255)
    noisy = ycbcr + np.float32(variance**0.5) * random.standard_normal(ycbcr.shape, np.float32)
    back = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
    return np.asarray(Image.fromarray(back, "YCbCr").convert("RGB"))


def impulse_noise(pixels: Pixels, density: float, random: np.random.Generator) -> Pixels:
    return util.random_noise(pixels, "s&p", rng=random, amount=density)


def multiplicative_noise(pixels: Pixels, variance: float, random: np.random.Generator) -> Pixels:
    return util.random_noise(pixels, "speckle", rng=random, var=variance)


def _coded(pixels: Pixels, **options: object) -> Pixels:
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, **options)  # type: ignore[arg-type]
        return np.asarray(Image.open(file))


def jpeg(pixels: Pixels, quality: float, random: np.random.Generator) -> Pixels:
    return _coded(pixels, format="JPEG", quality=round(quality))


def jpeg2000(pixels: Pixels, ratio: float, random: np.random.Generator) -> Pixels:
    rates = {"quality_mode": "rates", "quality_layers": [ratio], "num_resolutions": 8}
    return _coded(pixels, format="JPEG2000", progression="LRCP", no_jp2=True, **rates)


def _toned(pixels: Pixels, curve: Pixels) -> Pixels:
    table = (255 * curve.clip(0, 1)).round().astype(np.uint8).tolist()
    return np.asarray(Image.fromarray(pixels).point(table * 3))


def brighten(pixels: Pixels, amount: float, random: np.random.Generator) -> Pixels:
    return _toned(pixels, TONES + 2 * amount * TONES * (1 - TONES))


def darken(pixels: Pixels, amount: float, random: np.random.Generator) -> Pixels:
    return _toned(pixels, TONES - 2 * amount * TONES * (1 - TONES))


def mean_up(pixels: Pixels, amount: float, random: np.random.Generator) -> Pixels:
    return _toned(pixels, TONES + amount)


def mean_down(pixels: Pixels, amount: float, random: np.random.Generator) -> Pixels:
    return _toned(pixels, TONES - amount)


def color_diffusion(pixels: Pixels, amount: float, random: np.random.Generator) -> Pixels:
    lab = color.rgb2lab(pixels)
    lab[..., 1:] = amount * filters.gaussian(lab[..., 1:], 1.5 * amount + 2, truncate=2, channel_axis=-1)
    return color.lab2rgb(lab)


def color_shift(pixels: Pixels, amount: float, random: np.random.Generator) -> Pixels:
    image = pixels / np.float32(255)
    edges = filters.gaussian(filters.sobel(color.rgb2gray(image)), 4, truncate=2)
    low, high = np.percentile(edges, (1, 99))
    edges = ((edges - low) / max(high - low, 1e-12)).clip(0, 1)
    direction = random.random(2)
    steps = np.round(amount * direction / np.linalg.norm(direction)).astype(int)
    moved = np.roll(image[..., 1], tuple(steps), (0, 1))
    image[..., 1] += edges * (moved - image[..., 1])
    return image


def saturation(pixels: Pixels, factor: float, random: np.random.Generator) -> Pixels:
    bands = Image.fromarray(pixels).convert("HSV").split()
    scaled = bands[1].point([min(255, max(0, round(factor * value))) for value in range(256)])
    return np.asarray(Image.merge("HSV", (bands[0], scaled, bands[2])).convert("RGB"))


def saturation_lab(pixels: Pixels, factor: float, random: np.random.Generator) -> Pixels:
    lab = color.rgb2lab(pixels)
    lab[..., 1:] *= factor
    return color.lab2rgb(lab)


def jitter(pixels: Pixels, amount: float, random: np.random.Generator) -> torch.Tensor:
    image = _floats(pixels)
    height, width = image.shape[1:]
    scale = torch.tensor([2 / width, 2 / height]) * amount
    for _ in range(5):
        image = functional.elastic(image, scale * torch.randn(1, height, width, 2))
    return image


def non_eccentricity(pixels: Pixels, count: float, random: np.random.Generator) -> Pixels:
    image = Image.fromarray(pixels)
    whole, room = image.copy(), np.array([image.width, image.height]) - 48
    for _ in range(round(count)):
        start = (random.random(2) * room).astype(int) + 16
        patch = whole.crop((*start, *(start + 16)))
        image.paste(patch, tuple(map(int, start + random.integers(-8, 9, 2))))
    return np.asarray(image)


def pixelate(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    image, share = Image.fromarray(pixels), 0.95 - strength**0.6
    small = image.resize((int(image.width * share), int(image.height * share)), Image.Resampling.NEAREST)
    return np.asarray(small.resize(image.size, Image.Resampling.NEAREST))


def quantization(pixels: Pixels, bins: float, random: np.random.Generator) -> Pixels:
    return _toned(pixels, np.minimum(np.floor(TONES * bins), bins - 1) / (bins - 1))


def color_blocks(pixels: Pixels, count: float, random: np.random.Generator) -> Pixels:
    image = Image.fromarray(pixels)
    for _ in range(round(count)):
        left, top = random.integers(0, [image.width - 31, image.height - 31]).tolist()
        image.paste(tuple(random.integers(0, 256, 3).tolist()), (left, top, left + 32, top + 32))
    return np.asarray(image)


def sharpen(pixels: Pixels, amount: float, random: np.random.Generator) -> Pixels:
    lab = color.rgb2lab(pixels)
    lab[..., 0] += amount * (lab[..., 0] - filters.gaussian(lab[..., 0], 3, truncate=2))
    return color.lab2rgb(lab)


def linear_contrast(pixels: Pixels, amount: float, random: np.random.Generator) -> Pixels:
    step = (amount + 0.2) * 1.25 / 0.21
    return _toned(pixels, TONES + step * (TONES - 0.5) * TONES * (1 - TONES))


def contrast_nonlinear(pixels: Pixels, half: float, random: np.random.Generator) -> Pixels:
    return _toned(pixels, 0.5 + 2 * half * (TONES - 0.5))


FAMILIES: dict[str, tuple[str, Degrade]] = {  # family → (whose, how)
    "gaussian_blur": ("torchvision", gaussian_blur),
    "lens_blur": ("SciPy", lens_blur),
    "motion_blur": ("SciPy", motion_blur),
    "white_noise": ("torchvision", white_noise),
    "ycbcr_noise": ("Pillow, NumPy", ycbcr_noise),
    "impulse_noise": ("scikit-image", impulse_noise),
    "multiplicative_noise": ("scikit-image", multiplicative_noise),
    "jpeg": ("Pillow", jpeg),
    "jpeg2000": ("Pillow", jpeg2000),
    "brighten": ("Pillow", brighten),
    "darken": ("Pillow", darken),
    "mean_up": ("Pillow", mean_up),
    "mean_down": ("Pillow", mean_down),
    "color_diffusion": ("scikit-image", color_diffusion),
    "color_shift": ("scikit-image", color_shift),
    "saturation": ("Pillow", saturation),
    "saturation_lab": ("scikit-image", saturation_lab),
    "jitter": ("torchvision", jitter),
    "non_eccentricity": ("Pillow", non_eccentricity),
    "pixelate": ("Pillow", pixelate),
    "quantization": ("Pillow", quantization),
    "color_blocks": ("Pillow", color_blocks),
    "sharpen": ("scikit-image", sharpen),
    "contrast_up": ("Pillow", linear_contrast),
    "contrast_down": ("Pillow", linear_contrast),
    "contrast_nonlinear": ("Pillow", contrast_nonlinear),
}
