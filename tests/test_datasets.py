"""Names mean data sets; a wrong one gets a sentence."""

import numpy as np
import pytest
from PIL import Image

from iqa import datasets
from iqa.datasets import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "data" / "my set (1)"
    root.mkdir(parents=True)
    for i in range(5):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(root / f"{i}.png")
    (root / "s.csv").write_text("image,mos\n" + "".join(f"{i}.png,{i}\n" for i in range(5)))
    return root


def test_a_folder_is_found_as_given_and_below_the_root(folder, monkeypatch):
    assert len(datasets.load(str(folder))) == 5
    assert datasets.load("my set (1)", root=str(folder.parent)).digest == datasets.load(str(folder)).digest
    monkeypatch.chdir(folder)
    assert datasets.load(".").root == folder


def test_a_folders_name_is_fit_for_a_metrics_name(folder):
    assert datasets.load(str(folder)).name == "my-set-1"


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(DataError, match="no data set 'sampel': did you mean 'sample'"):
        datasets.load("sampel")
    with pytest.raises(DataError, match="no data set 'zzz': give a folder .*, or one of sample"):
        datasets.load("zzz", root=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("./nowhere", "there is no folder './nowhere'"),
        ("~nobody/x", "there is no folder"),
        ("", "no data set is named"),
        ("x" * 5000, "there is no data set"),
        ("a\0b", "there is no data set"),
    ],
)
def test_a_missing_folder_is_said_with_a_remedy(name, sentence):
    with pytest.raises(DataError, match=sentence):
        datasets.load(name)


def test_a_file_is_not_a_folder(folder):
    with pytest.raises(DataError, match="s.csv is a file: give the folder"):
        datasets.load(str(folder / "s.csv"))


def test_on_bad_is_error_or_skip(folder):
    with pytest.raises(DataError, match="on_bad is 'ignore': give error or skip"):
        datasets.load(str(folder), on_bad="ignore")


@pytest.mark.parametrize(
    ("folder", "name"), [("photos", "photos"), ("a b", "a-b"), ("sample", "sample-folder"), ("KADID", "KADID")]
)
def test_a_folder_is_called_as_a_metric_may_be_and_never_as_a_set_that_has_a_name(folder, name, tmp_path):
    assert datasets.shown(tmp_path / folder) == name


def test_folders_without_a_letter_that_a_metric_may_have_keep_apart(tmp_path):
    one, other = datasets.shown(tmp_path / "写真"), datasets.shown(tmp_path / "画像")
    assert one != other and one.isascii() and one.startswith("folder-")
