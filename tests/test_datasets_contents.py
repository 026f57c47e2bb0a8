"""Digests of pictures, remembered until the file changes."""

import hashlib
import os

import numpy as np
import pytest
from PIL import Image

from iqa import datasets, disk
from iqa.datasets import contents, preparation


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(folder / f"{i}.png")
    (folder / "bad.png").write_bytes(b"<html>")
    return folder


def test_digests_are_sha256_of_the_bytes_and_bad_pictures_faults(root):
    known, faults = contents.look(root, ["0.png", "1.png", "bad.png", "missing.png"])
    digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in ("0.png", "1.png")}
    assert known == {name: contents.Content(digest, width=5, height=4) for name, digest in digests.items()}
    assert list(faults) == ["missing.png", "bad.png"]
    assert "not a picture" in faults["bad.png"] and "No such file" in faults["missing.png"]


def test_a_known_file_is_not_read_again(root, monkeypatch):
    first = contents.look(root, ["0.png", "1.png"])
    monkeypatch.setattr(contents, "_inspect", lambda path, name: pytest.fail(f"{path} was read again"))
    assert contents.look(root, ["0.png", "1.png"]) == first


def test_a_changed_file_is_read_again(root):
    before, _ = contents.look(root, ["0.png"])
    Image.fromarray(np.full((4, 5, 3), 9, np.uint8)).save(root / "0.png")
    os.utime(root / "0.png", (1, 1))
    after, _ = contents.look(root, ["0.png"])
    assert before != after == {"0.png": contents.Content(disk.file_digest(root / "0.png"), 5, 4)}


def test_a_bad_picture_is_looked_at_again_once_it_is_mended(root):
    assert contents.look(root, ["bad.png"])[1]
    (root / "bad.png").write_bytes((root / "0.png").read_bytes())
    assert not contents.look(root, ["bad.png"])[1]


def older(content):
    """A memory that is whole, as another version wrote it."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


@pytest.mark.parametrize(
    "torn", [b"", b'{"format": 2, "files": {}}', b"[]", b"\xff\xfe\n{}", older(b'{"format": 99, "files": {}}')]
)
def test_a_torn_memory_is_forgotten(root, torn):
    first = contents.look(root, ["0.png"])
    memory = next(disk.cache_folder().glob("digests/*.json"))
    memory.write_bytes(torn)
    assert contents.look(root, ["0.png"]) == first
    assert len(memory.read_bytes()) > 100


def test_a_memory_in_which_a_digit_changed_is_forgotten(root):
    first = contents.look(root, ["0.png"])
    memory = next(disk.cache_folder().glob("digests/*.json"))
    digest = first[0]["0.png"].digest
    memory.write_text(memory.read_text().replace(digest, digest[::-1]))
    assert contents.look(root, ["0.png"]) == first


@pytest.mark.parametrize("part", ["digests", "manifests", "pixels/v3-native"])
def test_a_part_of_the_cache_that_cannot_be_written_says_so_too(root, part):
    (disk.cache_folder() / part).parent.mkdir(parents=True, exist_ok=True)
    (disk.cache_folder() / part).write_text("a file where a folder should be")
    with pytest.raises(disk.CacheError, match=f"{part}.* cannot be written .*set IQA_CACHE to another folder"):
        manifest = datasets.load(str(root), on_bad="skip")
        preparation.write_manifest(manifest)
        preparation.fill_cache(manifest)
