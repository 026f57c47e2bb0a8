"""Which size a data set's pictures get, and that they get it."""

import numpy as np
import pytest
import torch
from PIL import Image

from iqa import datasets, images
from iqa.config import AS_PUBLISHED, Data
from iqa.datasets import DataError, pixels
from iqa.datasets.sizes import size_of


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i, shape in enumerate([(60, 80), (80, 60), (48, 64), (48, 64), (60, 80)]):
        Image.fromarray(random.integers(0, 256, (*shape, 3), np.uint8)).save(folder / f"{i}.png")
    (folder / "s.csv").write_text("image,mos\n" + "".join(f"{i}.png,{i}\n" for i in range(5)))
    return folder


@pytest.mark.parametrize(
    ("name", "told", "size"),
    [
        ("koniq", AS_PUBLISHED, "512x384"),
        ("kadid", AS_PUBLISHED, "512x384"),
        ("spaq", AS_PUBLISHED, "512"),
        ("agiqa", AS_PUBLISHED, "native"),
        ("mine", "384", "384"),
        ("mine", "mine=100x200, other=32", "100x200"),
    ],
)
def test_a_size_is_one_for_all_or_the_sets_own(name, told, size):
    assert size_of(name, told, datasets.NAMES) == size


@pytest.mark.parametrize("told", ["big", "0", "512x", "x384", "koniq=", "512X384", "-5", "100000", "koniq=512x384x3"])
def test_what_is_no_size_is_refused(told):
    with pytest.raises(DataError, match="a size is native, the short side"):
        size_of("koniq", told, datasets.NAMES)


def test_a_misspelt_set_is_refused_since_its_size_would_change_nothing():
    with pytest.raises(DataError, match="'konic': did you mean 'koniq'"):
        size_of("spaq", "konic=512x384,spaq=512", datasets.NAMES)


@pytest.mark.parametrize(
    ("size", "shapes"),
    [("native", {(60, 80), (80, 60), (48, 64)}), ("32x24", {(24, 32)}), ("30", {(30, 40), (40, 30)})],
)
def test_pictures_get_the_size_that_is_told(root, size, shapes):
    manifest = datasets.load(str(root), input_size=size)
    assert {tuple(manifest.read(i).shape[1:]) for i in range(5)} == shapes


@pytest.mark.parametrize("resample", list(images.FILTERS))
def test_the_filter_is_pillows(root, resample):
    manifest = datasets.load(str(root), input_size="32x24", resize_filter=resample)
    theirs = Image.open(manifest.file(2)).resize((32, 24), images.FILTERS[resample])
    assert torch.equal(manifest.read(2), torch.from_numpy(np.array(theirs)).permute(2, 0, 1))


def test_an_unknown_filter_is_refused(root):
    with pytest.raises(DataError, match="'cubic': give one of bicubic"):
        datasets.load(str(root), resize_filter="cubic")


def test_resizing_is_said_and_a_size_that_changes_nothing_is_not(root):
    assert any(
        "resized to 32x24 (box)" in note
        for note in datasets.load(str(root), "", "", 0, "error", 0, 0, "32x24", "box").notes
    )
    assert not any("resized" in note for note in datasets.load(str(root)).notes)


def test_a_picture_that_would_become_too_large_is_refused(tmp_path):
    Image.fromarray(np.zeros((1, 4000, 3), np.uint8)).save(tmp_path / "thin.png")
    with pytest.raises(images.ImageError, match="2048000×512 pixels at input_size 512, more than"):
        images.read(tmp_path / "thin.png", size="512")


def test_pictures_smaller_than_a_crop_are_refused_together_or_left_out(root):
    manifest = datasets.load(str(root))
    assert len(manifest.fitting(48)) == 5
    with pytest.raises(DataError, match="(?s)2 of 5 pictures of set are smaller than a crop of 50.*'2.png' is 64×48"):
        manifest.fitting(50)
    fewer = manifest.fitting(50, "skip")
    assert list(fewer.table["path"]) == ["0.png", "1.png", "4.png"] and "left out" in fewer.notes[-1]
    assert len(datasets.load(str(root), input_size="50").fitting(50)) == 5


@pytest.mark.parametrize("on_bad", ["error", "skip"])
def test_a_crop_that_is_larger_than_every_picture_is_refused_whatever_is_left_out(root, on_bad):
    said = r"5 of 5 pictures of set are smaller than a crop of 500, and nothing would be left \(lower the crop size, or"
    with pytest.raises(DataError, match=said):
        datasets.load(str(root)).fitting(500, on_bad)


@pytest.mark.parametrize("size", ["native", "30", "32x24"])
def test_the_cache_gives_the_same_pixels_as_the_files(root, size):
    plain = datasets.load(str(root), input_size=size)
    wanted = [plain.read(i) for i in range(5)]
    files = {digest: plain.file(i) for i, digest in enumerate(plain.table["digest"])}
    pixels.fill("set", files, size, "bicubic")
    for i in range(5):
        plain.file(i).unlink()  # so that nothing but the cache can answer
    cached = datasets.Manifest(plain.name, plain.root, plain.table, (0, 1), "", "")
    assert all(torch.equal(cached.read(i), wanted[i]) for i in range(5))


@pytest.mark.parametrize("size", ["native", "1", "99999", "512x384", "0", "012", "100000", "x384", "512x", "5 12", "٣"])
def test_a_config_takes_the_sizes_that_data_sets_take(size):
    def taken(by):
        try:
            by()
        except ValueError:
            return False
        return True

    assert taken(lambda: Data(name="koniq", input_size=size)) == taken(lambda: size_of("koniq", size))
