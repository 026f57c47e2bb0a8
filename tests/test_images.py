"""What `iqa.images` makes of good files, and the sentence it has for bad ones."""

import io
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iqa import images
from iqa.images import ImageError

COLOURS = np.array([[[10, 20, 30], [200, 100, 50]], [[0, 0, 0], [255, 255, 255]], [[1, 2, 3], [90, 80, 70]]], np.uint8)


def picture(height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """Smooth colours, so that JPEG keeps them nearly."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y + seed) % 256], axis=-1).astype(np.uint8)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1)


def saved(folder: Path, array: np.ndarray, name: str, **options) -> Path:
    Image.fromarray(array).save(folder / name, **options)
    return folder / name


def deep_png(samples: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which Pillow reads but cannot write: (H, W, 3) uint16."""
    height, width, _ = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "misnamed.jpg"])
def test_lossless_formats_give_the_pixels_that_were_saved(tmp_path, name):
    kind = {"a.webp": {"lossless": True}, "misnamed.jpg": {"format": "PNG"}}.get(name, {})
    pixels = images.read(saved(tmp_path, COLOURS, name, **kind))
    assert pixels.dtype == torch.uint8 and pixels.is_contiguous()
    assert torch.equal(pixels, as_tensor(COLOURS))


def test_jpeg_decodes_as_pillow_does(tmp_path):
    path = saved(tmp_path, picture(), "a.jpg", quality=90)
    assert torch.equal(images.read(path), as_tensor(np.array(Image.open(path))))


def test_unit_maps_the_ends_of_the_range_to_zero_and_one():
    values = images.unit(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert values.dtype == torch.float32
    assert values.tolist() == pytest.approx([0, 0.2, 1])


def test_a_saved_png_reads_back_and_has_the_same_bytes_again(tmp_path):
    pixels = as_tensor(picture())
    for name in ("a.png", "b.png"):
        images.save_png(pixels, tmp_path / name)
    assert torch.equal(images.read(tmp_path / "a.png"), pixels)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png"]


def test_a_png_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError):
        images.save_png(as_tensor(picture()), tmp_path / "a.png")
    assert os.listdir(tmp_path) == ["a.png"]


def test_sixteen_bit_grey_is_scaled_not_saturated(tmp_path):
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(deep).save(tmp_path / name)
        assert images.read(tmp_path / name)[:, 0].tolist() == [[0, 1, 1, 128, 255]] * 3


def test_sixteen_bit_colour_is_scaled(tmp_path):
    deep = np.array([[[0, 65535, 32896]]], np.uint16)
    (tmp_path / "deep.png").write_bytes(deep_png(deep))
    assert images.read(tmp_path / "deep.png")[:, 0, 0].tolist() == [0, 255, 128]


def test_floats_in_the_unit_range_are_scaled_and_others_refused(tmp_path):
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "good.tif")
    assert images.read(tmp_path / "good.tif")[0, 0].tolist() == [0, 128, 255]
    for value in (1.5, -0.1, np.nan, np.inf):
        Image.fromarray(np.array([[0, value]], np.float32)).save(tmp_path / "bad.tif")
        with pytest.raises(ImageError, match="bad.tif.*outside 0…1"):
            images.read(tmp_path / "bad.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_composited_on_white(tmp_path, mode):
    layer = Image.new("RGBA", (3, 1), (0, 0, 0, 255))
    layer.putpixel((1, 0), (0, 0, 0, 0))
    layer.putpixel((2, 0), (0, 0, 0, 128))
    layer.convert(mode).save(tmp_path / "a.tif")
    assert images.read(tmp_path / "a.tif")[:, 0].tolist() == [[0, 255, 127]] * 3


def test_a_transparent_palette_colour_and_colour_key_are_white(tmp_path):
    indexed = Image.new("P", (2, 1), 0)
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    indexed.putpixel((1, 0), 1)
    indexed.save(tmp_path / "p.png", transparency=1)
    assert images.read(tmp_path / "p.png")[:, 0].tolist() == [[10, 255], [20, 255], [30, 255]]
    saved(tmp_path, COLOURS, "rgb.png", transparency=(10, 20, 30))
    assert images.read(tmp_path / "rgb.png")[:, 0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("mode", "name"), [("L", "a.png"), ("1", "a.png"), ("P", "a.png"), ("CMYK", "a.tif")])
def test_other_modes_become_rgb(tmp_path, mode, name):
    white = Image.new("RGB", (4, 3), "white").convert(mode)
    white.save(tmp_path / name)
    assert torch.equal(images.read(tmp_path / name), torch.full((3, 3, 4), 255, dtype=torch.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_set_upright(tmp_path, orientation):
    stored = {  # what a camera held so would have stored of COLOURS
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2),
        6: np.rot90(COLOURS),
        7: np.rot90(COLOURS, 2).transpose(1, 0, 2),
        8: np.rot90(COLOURS, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, np.ascontiguousarray(stored), "a.png", exif=exif)
    assert torch.equal(images.read(path), as_tensor(COLOURS))


def test_one_pixel_is_an_image(tmp_path):
    assert images.read(saved(tmp_path, COLOURS[:1, :1], "a.png")).shape == (3, 1, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("kept", [0.1, 0.9])
def test_a_truncated_file_is_refused_by_name(tmp_path, kind, kept):
    whole = io.BytesIO()
    Image.fromarray(picture(200, 240)).save(whole, format=kind)
    (tmp_path / "cut.img").write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * kept)])
    with pytest.raises(ImageError, match="cut.img"):
        images.read(tmp_path / "cut.img")


@pytest.mark.parametrize(
    "body", [b"", b"<!DOCTYPE html><html>404</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIF89a"]
)
def test_what_is_not_an_allowed_picture_is_refused_by_content(tmp_path, body):
    (tmp_path / "a.jpg").write_bytes(body)
    with pytest.raises(ImageError, match=r"a\.jpg' is not a picture that can be read: give JPEG, PNG"):
        images.read(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.gif", "a.ppm", "a.eps", "a.ico"])
def test_formats_outside_the_allow_list_are_refused_though_pillow_knows_them(tmp_path, name):
    with pytest.raises(ImageError, match="is not a picture that can be read"):
        images.read(saved(tmp_path, picture(32, 32), name))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_several_frames_are_refused(tmp_path, kind):
    frames = [Image.fromarray(picture(seed=90 * i)) for i in range(3)]
    frames[0].save(tmp_path / "a.img", format=kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="a.img' holds 3 frames"):
        images.read(tmp_path / "a.img")


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path):
    flat = Image.new("1", (20_000, 5_001))
    flat.save(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match="bomb.png' has more than 100,000,000 pixels: scale it down"):
        images.read(tmp_path / "bomb.png")


def test_the_cap_is_an_argument(tmp_path):
    path = saved(tmp_path, picture(10, 10), "a.png")
    assert images.read(path, max_pixels=100).shape == (3, 10, 10)
    with pytest.raises(ImageError, match="10×10 pixels, more than 99"):
        images.read(path, max_pixels=99)


def test_integers_of_unknown_range_and_lab_are_refused(tmp_path):
    Image.new("I", (2, 2), 7).save(tmp_path / "int.tif")
    Image.new("LAB", (2, 2)).save(tmp_path / "lab.tif")
    for name, reason in (("int.tif", "32-bit integer"), ("lab.tif", "colour mode LAB")):
        with pytest.raises(ImageError, match=f"{name}.*{reason}"):
            images.read(tmp_path / name)


def test_what_is_not_a_file_is_refused_without_hanging(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    for name, reason in (
        ("folder.jpg", "is a folder"),
        ("pipe.jpg", "is not a regular file"),
        ("loop.jpg", "cannot be opened"),
        ("missing.jpg", "No such file"),
        ("nul\0.jpg", "null"),
    ):
        with pytest.raises(ImageError, match=reason):
            images.read(tmp_path / name)


def test_a_refusal_can_be_printed_whatever_the_name(tmp_path):
    name = os.fsdecode(b"caf\xe9\n$().jpg")
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ImageError) as refusal:
        images.read(tmp_path / name)
    assert str(refusal.value).encode("utf-8").count(b"\n") == 0


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's remarks on damaged metadata are not ours
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_four_hundred_mutations_are_read_or_refused(tmp_path, kind):
    whole = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if kind == "BMP" else {"exif": exif}
    Image.fromarray(picture()).save(whole, format=kind, **options)
    source, rng, outcomes = whole.getvalue(), random.Random(kind), set()
    for _ in range(400):
        damaged = bytearray(source)
        for _ in range(rng.choice((1, 1, 3, 20))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        (tmp_path / "mutant").write_bytes(damaged[: rng.choice((None, None, rng.randrange(len(damaged))))])
        try:
            pixels = images.read(tmp_path / "mutant")
            assert pixels.dtype == torch.uint8 and pixels.shape[0] == 3
            outcomes.add("read")
        except ImageError as refusal:
            assert "mutant" in str(refusal)
            outcomes.add("refused")
    assert "refused" in outcomes


def test_bytes_are_decoded_as_the_file_that_holds_them(tmp_path):
    file = saved(tmp_path, picture(), "a.jpg")
    content = file.read_bytes()
    assert torch.equal(images.decode(content, "it", size="12"), images.read(file, size="12"))
    with pytest.raises(ImageError, match="^it is damaged"):
        images.decode(content[: len(content) // 2], "it")


def test_a_thumbnail_is_a_jpeg_of_the_same_shape_within_its_side():
    small = images.thumbnail(as_tensor(picture(100, 200)), 50)
    assert small.startswith(b"\xff\xd8") and images.decode(small, "it").shape == (3, 25, 50)
    assert images.thumbnail(as_tensor(picture(100, 200)), 50) == small
    assert images.decode(images.thumbnail(as_tensor(picture(10, 20)), 50), "it").shape == (3, 10, 20)
