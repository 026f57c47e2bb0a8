"""File → pixels: the only place that opens an image, and where a bad one is refused with a sentence."""

import io
import os
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor

from iqa import disk

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")  # by content, never by suffix; EPS would start Ghostscript
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MAX_PIXELS = 100_000_000
BACKGROUND = (255, 255, 255)  # transparent pixels are composited on white
THUMBNAIL_QUALITY = 80
NATIVE = "native"  # the size that a file has
FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}

# Pillow warns at one cap and raises at twice that; here there is one cap, and its warning is an error.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

# What Pillow's decoders were seen to raise on mutated files (measured), plus what their code can reach.
_DECODER_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError),
    *(ArithmeticError, RuntimeError, AssertionError, MemoryError, struct.error, zlib.error),
    *(Image.DecompressionBombWarning, Image.DecompressionBombError),
)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """An image that cannot be used; the sentence names the file and the remedy."""


def read(
    path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS, size: str = NATIVE, resample: str = "bicubic"
) -> Tensor:
    """Decode an image file: (3, H, W) uint8 RGB, upright by its EXIF orientation, resized to `size`, contiguous.

    size: as `target` reads it; resample: one of FILTERS, Pillow's, which average where they scale down. Grey is
    repeated, 16 bits and floats in [0, 1] are scaled, CMYK and palettes converted, transparency composited on white
    (`BACKGROUND`); embedded colour profiles are not applied. Everything else raises `ImageError`.
    """
    name = repr(os.fspath(path))
    try:
        handle = _open_regular(path, name)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, ImageError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(f"{name} cannot be opened ({reason}): check the path and its permissions") from error
    with handle:
        return _sound(handle, name, max_pixels, size, resample)


def decode(content: bytes, name: str, size: str = NATIVE, resample: str = "bicubic") -> Tensor:
    """As `read`, of an image file's bytes; `name` is what a sentence about them calls them."""
    return _sound(io.BytesIO(content), name, MAX_PIXELS, size, resample)


def thumbnail(pixels: Tensor, side: int) -> bytes:
    """(3, H, W) uint8 RGB → a JPEG whose longer side has at most `side` pixels: the same pixels give the same bytes."""
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((side, side))
    written = io.BytesIO()
    picture.save(written, format="JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
    return written.getvalue()


def _sound(handle: IO[bytes], name: str, max_pixels: int, size: str, resample: str) -> Tensor:
    """`_decoded`, with every failure as an ImageError."""
    try:
        return _decoded(handle, name, max_pixels, size, resample)
    except ImageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(f"{name} has more than {MAX_PIXELS:,} pixels: scale it down") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture that can be read: give {_listed(FORMATS)}") from error
    except _DECODER_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name} is damaged ({reason}): replace it, or leave it out") from error


def _decoded(handle: IO[bytes], name: str, max_pixels: int, size: str, resample: str) -> Tensor:
    with Image.open(handle, formats=FORMATS) as picture:
        _check_header(picture, name, max_pixels)
        if picture.format == "PNG":  # whose checksums load() does not look at
            picture.verify()
    handle.seek(0)
    with Image.open(handle, formats=FORMATS) as picture:
        picture.load()  # verify() would accept a truncated JPEG
        return _tensor(_resized(_rgb(_upright(picture), name), name, size, resample))


def target(width: int, height: int, size: str) -> tuple[int, int]:
    """(width, height) that a picture gets: "512x384" exactly, "512" its short side, "native" what it has."""
    if size == NATIVE:
        return width, height
    if "x" in size:
        wide, high = size.split("x")
        return int(wide), int(high)
    scale = int(size) / min(width, height)
    return round(width * scale), round(height * scale)


def unit(pixels: Tensor) -> Tensor:
    """uint8 0…255 → float32 in [0, 1], any shape."""
    return pixels.to(torch.float32).div_(255)


def save_png(pixels: Tensor, path: str | os.PathLike[str]) -> None:
    """Write (3, H, W) uint8 RGB as PNG: the same pixels give the same bytes; the file appears whole or not at all."""
    assert pixels.dtype == torch.uint8 and pixels.dim() == 3 and pixels.shape[0] == 3, (pixels.dtype, pixels.shape)
    with disk.whole(Path(path), "wb", shared=True) as out:
        array = pixels.permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(array).save(out, format="PNG", compress_level=1)


def _open_regular(path: str | os.PathLike[str], name: str):
    """Open for reading; a FIFO or a device would block, a folder has no bytes."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise ImageError(f"{name} is a folder: give an image file")
    if not stat.S_ISREG(mode):
        raise ImageError(f"{name} is not a regular file: give an image file")
    return open(path, "rb")


def _check_header(picture: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse by what the header says, before anything is decoded."""
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageError(f"{name} has {width}×{height} pixels, more than {max_pixels:,}: scale it down")
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        raise ImageError(f"{name} holds {frames} frames: save the one that is meant as a file of its own")


def _upright(picture: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return picture if method is None else picture.transpose(method)


def _resized(picture: Image.Image, name: str, size: str, resample: str) -> Image.Image:
    """The RGB picture at the size it gets; the same picture where that is what it has."""
    width, height = target(*picture.size, size)
    if (width, height) == picture.size:
        return picture
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} would become {width}×{height} pixels at input_size {size}, more than {MAX_PIXELS:,}: "
            "choose a smaller one, or leave the picture out"
        )
    return picture.resize((width, height), FILTERS[resample])


def _rgb(picture: Image.Image, name: str) -> Image.Image:
    """Any mode Pillow decodes to → RGB."""
    mode = picture.mode
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_eight_bits(picture, name)).convert("RGB")
    if "transparency" in picture.info or mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        layer = picture.convert("LA" if mode == "La" else "RGBA").convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (*BACKGROUND, 255)), layer).convert("RGB")
    if mode in ("RGB", "1", "L", "P", "CMYK", "YCbCr", "RGBX"):
        return picture.convert("RGB")
    raise ImageError(f"{name} has the colour mode {mode}, which is not supported: save it as 8-bit RGB")


def _eight_bits(picture: Image.Image, name: str) -> np.ndarray:
    """Deep grey → (H, W) uint8. Pillow's own conversion saturates everything above 255."""
    values = np.asarray(picture).astype(np.float64)
    if picture.mode == "F":
        low, high, kind = 0.0, 1.0, "floating-point"
    elif picture.mode.startswith("I;16"):
        low, high, kind = 0.0, float(2 ** _bits(picture) - 1), "16-bit"
    else:
        raise ImageError(f"{name} has 32-bit integer pixels of unknown range: save it as 8 or 16 bit")
    if not bool(((values >= low) & (values <= high)).all()):
        raise ImageError(f"{name} has {kind} pixels outside {low:g}…{high:g}: scale them, or save it as 8 bit")
    return np.rint(values * (255 / high)).astype(np.uint8)


def _bits(picture: Image.Image) -> int:
    """Bits per sample of deep grey: 16, but a TIFF may hold 12."""
    tags = getattr(picture, "tag_v2", {})
    return int(tags.get(258, (16,))[0])


def _tensor(picture: Image.Image) -> Tensor:
    flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return flat.view(picture.height, picture.width, 3).permute(2, 0, 1).contiguous()


def _listed(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
