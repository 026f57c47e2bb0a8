"""The cache of decoded pictures: whole, restartable, found by content."""

import hashlib
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iqa import disk, images
from iqa.datasets import pixels

SHAPES = [(11, 7), (5, 9), (11, 7), (300, 200)]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    found = {}
    for i, shape in enumerate(SHAPES):
        path = tmp_path / f"{i}.png"
        Image.fromarray(random.integers(0, 256, (*shape, 3), np.uint8)).save(path)
        found[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    return found


def fill(files, **options):
    return pixels.fill(**{"name": "toy", "files": files, "size": "native", "resample": "bicubic", **options})


def holds(files, size="native"):
    there = pixels.places(size, "bicubic")
    return all(torch.equal(there[d].read(), images.read(f, size=size)) for d, f in files.items())


def test_what_was_written_is_read_back_and_may_be_written_to(files):
    done = fill(files)
    assert (done.present, done.written, done.size) == (0, 4, sum(3 * h * w for h, w in SHAPES))
    assert holds(files)
    first = pixels.places("native", "bicubic")[next(iter(files))]
    first.read().zero_()  # a private mapping: the file stays
    assert holds(files)


def test_a_second_call_writes_nothing(files):
    fill(files)
    assert (fill(files).present, fill(files).written) == (4, 0)


def test_sizes_and_filters_lie_apart_and_native_has_no_filter(files):
    fill(files, size="8")
    fill(files, size="8", resample="box")
    assert holds(files, "8") and not pixels.places("9", "bicubic") and not pixels.places("native", "bicubic")
    assert pixels.folder_of("native", "box") == pixels.folder_of("native", "bicubic")


@pytest.mark.parametrize("lost", [0, 1, 40, 150])
def test_an_interrupted_call_goes_on_behind_the_last_whole_picture(files, lost, monkeypatch):
    monkeypatch.setattr(pixels, "AT_ONCE", 1)
    index = fill(files).file.with_suffix(".index")
    whole = (index.read_bytes(), index.with_suffix(".pixels").read_bytes())
    os.truncate(index, len(whole[0]) - lost)
    assert fill(files).written == (0, 1, 1, 2)[[0, 1, 40, 150].index(lost)]
    assert (index.read_bytes(), index.with_suffix(".pixels").read_bytes()) == whole


def test_pixels_that_a_power_failure_took_are_written_again(files):
    data = fill(files).file
    os.truncate(data, data.stat().st_size - 1)
    assert len(pixels.places("native", "bicubic")) == 3
    assert fill(files).written == 1 and holds(files)


def test_an_error_keeps_what_was_written_before_it(files, monkeypatch, tmp_path):
    monkeypatch.setattr(pixels, "AT_ONCE", 1)
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(images.ImageError, match="bad.png"):
        fill({**files, "0" * 64: tmp_path / "bad.png"})
    assert fill(files).present == 4


def test_a_flipped_bit_is_found(files):
    data = fill(files).file
    assert pixels.damaged(list(files), "native", "bicubic") == {}
    with data.open("r+b") as out:
        out.seek(5)
        byte = out.read(1)
        out.seek(5)
        out.write(bytes([byte[0] ^ 1]))
    assert pixels.damaged(list(files), "native", "bicubic") == {next(iter(files)): data.with_suffix(".index")}


@pytest.mark.parametrize(("old", "new"), [(b" 11 7 ", b" 7 11 "), (b" 0 11 7 ", b" 3 11 7 ")])
def test_an_index_that_tells_another_shape_or_place_is_found(files, old, new):
    index = fill(files).file.with_suffix(".index")
    index.write_bytes(index.read_bytes().replace(old, new, 1))
    assert list(pixels.damaged(list(files), "native", "bicubic")) == [next(iter(files))]


def test_an_index_that_tells_no_size_is_written_again(files):
    index = fill(files).file.with_suffix(".index")
    index.write_bytes(index.read_bytes().replace(b" 11 7 ", b" 0 7 ", 1))
    assert fill(files).written == 4 and holds(files)


def test_a_full_disk_is_a_sentence_and_the_next_call_goes_on(files):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(disk.CacheError, match="toy.pixels cannot be written .*bytes are free there.*: make room"):
            fill(files)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    fill(files)
    assert holds(files)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux says what a process has mapped")
def test_reading_leaves_nothing_mapped(files):
    fill(files)
    there = pixels.places("native", "bicubic")
    held = [there[digest].read() for digest in files]
    maps = Path("/proc/self/maps")
    mapped = maps.read_text().count("toy.pixels")
    del held
    assert mapped == 4 and "toy.pixels" not in maps.read_text()
