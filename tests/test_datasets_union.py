"""Several data sets at once, for pretraining."""

import numpy as np
import pytest
from PIL import Image

from iqa import datasets
from iqa.datasets import DataError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    for offset, name in enumerate(("one", "two")):
        folder = tmp_path / name
        folder.mkdir()
        for i in range(10):
            shade = 100 * offset + i
            Image.fromarray(np.full((8, 8 + 2 * offset, 3), shade, np.uint8)).save(folder / f"{i}.png")
        rows = "".join(f"{i}.png,{i},{'train' if i < 6 else 'validation' if i < 8 else 'test'}\n" for i in range(10))
        (folder / "s.csv").write_text("image,mos,split\n" + rows)
    return tmp_path


def load(root, **options):
    return datasets.load("one,two", str(root), **options)


def test_rows_of_all_sets_keep_their_parts_and_files(root):
    manifest = load(root)
    assert (manifest.name, len(manifest), len(manifest.part("train"))) == ("one+two", 20, 12)
    assert all(manifest.file(i).is_file() for i in range(20))
    assert {tuple(manifest.read(i).shape[1:]) for i in range(20)} == {(8, 8), (8, 10)}


def test_each_set_has_its_own_input_size(root):
    manifest = load(root, input_size="one=4x4,two=6")
    assert {tuple(manifest.read(i).shape[1:]) for i in range(20)} == {(4, 4), (6, 8)}


def test_the_scores_of_several_sets_are_none(root):
    with pytest.raises(DataError, match="no score for 20 of its 20 images"):
        load(root).labelled()


def test_a_picture_in_one_sets_training_and_the_others_test_is_refused_or_left_out(root):
    (root / "two/9.png").write_bytes((root / "one/0.png").read_bytes())
    with pytest.raises(DataError, match=r"(?s)one and two share pictures.*train and test \('one/0.png', 'two/9.png'\)"):
        load(root)
    assert len(load(root, on_bad="skip")) == 18


def test_pristine_rows_alone_are_taken_where_a_set_marks_them(root):
    manifest = datasets.load("sample,one", str(root))
    sample = datasets.load("sample")
    assert len(manifest) == 10 + int((sample.table["family"] == "reference").sum())
    assert len(manifest.references()) == len(manifest)


@pytest.mark.parametrize("name", ["one,one", "one,", ","])
def test_a_set_twice_or_alone_is_refused(root, name):
    with pytest.raises(DataError, match="several data sets are named with commas, each once"):
        datasets.load(name, str(root))


def test_unlabelled_folders_join_too(root):
    (root / "one/s.csv").unlink()
    assert len(load(root).part("train")) == 6 + 6
