"""Images that are damaged, of the wrong kind, or unusual."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_input import READ, REFUSED, Case, shade, table
from PIL import Image


def named(name: str, content: Callable[[], bytes]) -> Callable[[Path], None]:
    """Put a file beside the good ones, and a line for it into the csv."""

    def make(folder: Path) -> None:
        (folder / name).write_bytes(content())
        table(folder, [f"{name},30"])

    return make


def saved(kind: str, pixels: np.ndarray | Image.Image | None = None, **options: object) -> Callable[[], bytes]:
    """A picture as Pillow saves it."""

    def content() -> bytes:
        whole = io.BytesIO()
        picture = (
            pixels
            if isinstance(pixels, Image.Image)
            else Image.fromarray(shade(9, 90, 120) if pixels is None else pixels)
        )
        picture.save(whole, format=kind, **options)
        return whole.getvalue()

    return content


def cut(kind: str, share: float) -> Callable[[], bytes]:
    """The first part of a file."""
    return lambda: (whole := saved(kind)())[: int(len(whole) * share)]


def frames(kind: str) -> Callable[[], bytes]:
    """Three pictures in one file."""
    several = [Image.fromarray(shade(i)) for i in range(3)]
    return saved(kind, several[0], save_all=True, append_images=several[1:])


def deep_png() -> bytes:
    """16 bits a colour, which Pillow reads but cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in shade(1).astype(np.uint16) * 257)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 24, 16, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def broken_checksum() -> bytes:
    """A PNG with one byte changed amid its pixels."""
    whole = bytearray(saved("PNG")())
    whole[len(whole) // 2] ^= 255
    return bytes(whole)


def turned(orientation: int) -> Callable[[], bytes]:
    """A JPEG that a camera has stored turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved("JPEG", shade(20 + orientation), exif=exif)


def mode(name: str) -> Image.Image:
    """A picture in another of Pillow's modes."""
    return Image.fromarray(shade(7)).convert(name)


def _case(what: str, name: str, content: Callable[[], bytes], code: int, says: str) -> Case:
    return Case("Images", what, named(name, content), code, says)


CASES = [
    _case("an empty file", "bad.jpg", lambda: b"", REFUSED, "'bad.jpg' is not a picture that can be read"),
    _case("a web page named .jpg", "bad.jpg", lambda: b"<!DOCTYPE html><html>404", REFUSED, "is not a picture"),
    _case("an EPS file named .png", "bad.png", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", REFUSED, "is not a picture"),
    _case("a GIF named .jpg", "bad.jpg", saved("GIF", mode("P")), REFUSED, "is not a picture"),
    _case("a PPM named .png", "bad.png", saved("PPM"), REFUSED, "is not a picture"),
    *[
        _case(f"{kind} cut off after {share:.0%}", f"bad.{suffix}", cut(kind, share), REFUSED, says)
        for kind, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("BMP", "bmp"), ("TIFF", "tif"), ("WEBP", "webp"))
        for share, says in ((0.1, f"'bad.{suffix}' is "), (0.9, f"'bad.{suffix}' is damaged"))
    ],
    _case("a PNG with a wrong checksum", "bad.png", broken_checksum, REFUSED, "'bad.png' is damaged"),
    _case(
        "100 million pixels in a small file (a decompression bomb)",
        "bad.png",
        saved("PNG", Image.new("1", (20_000, 5_001))),
        REFUSED,
        "has more than 100,000,000 pixels: scale it down",
    ),
    *[
        _case(f"several frames ({kind})", f"bad.{suffix}", frames(kind), REFUSED, "holds 3 frames")
        for kind, suffix in (("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp"))
    ],
    _case("Lab colours", "bad.tif", saved("TIFF", Image.new("LAB", (24, 16))), REFUSED, "has the colour mode LAB"),
    _case("32-bit integers", "bad.tif", saved("TIFF", Image.new("I", (24, 16), 7)), REFUSED, "pixels of unknown range"),
    *[
        _case(f"floating point with {value}", "bad.tif", saved("TIFF", np.full((16, 24), value, np.float32)), REFUSED,
              "has floating-point pixels outside 0…1")
        for value in (1.5, -0.1, np.nan, np.inf)
    ],
    _case("floating point in [0, 1]", "odd.tif", saved("TIFF", shade(1)[..., 0].astype(np.float32) / 255), READ, ""),
    _case("16-bit grey", "odd.png", saved("PNG", np.arange(384, dtype=np.uint16).reshape(16, 24) * 170), READ, ""),
    _case("16-bit colour", "odd.png", deep_png, READ, ""),
    *[
        _case(f"{what}", name, saved(kind, mode(letters)), READ, "")
        for what, name, kind, letters in (
            ("transparency", "odd.png", "PNG", "RGBA"),
            ("grey with transparency", "odd.png", "PNG", "LA"),
            ("a palette", "odd.png", "PNG", "P"),
            ("grey", "odd.png", "PNG", "L"),
            ("one bit", "odd.png", "PNG", "1"),
            ("CMYK", "odd.jpg", "JPEG", "CMYK"),
        )
    ],
    _case("a PNG named .jpg", "odd.jpg", saved("PNG"), READ, ""),
    *[_case(f"EXIF orientation {i}", "odd.jpg", turned(i), READ, "") for i in range(1, 9)],
    _case("1 × 1 pixel", "odd.png", saved("PNG", shade(1, 1, 1)), READ, ""),
    Case("Images", "smaller than a crop", named("bad.png", saved("PNG", shade(1, 9, 200))), REFUSED,
         "1 of 9 pictures of DATA are smaller than a crop of 16",
         ("finetune", "--preset=smoke", "--data=DATA", "--crops.size=16")),
]  # fmt: skip
