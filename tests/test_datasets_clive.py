"""LIVE in the Wild's tree in miniature: seven training pictures, then the test's, arrays across each other."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from iqa import datasets
from iqa.datasets import DataError

NAMES = [f"t{i}.jpg" for i in range(1, 8)] + ["3.bmp", "10.JPG", "11.JPG", "900.bmp"]
SCORES = [50.0] * 7 + [10.5, 92.4, 63.2, 3.42]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data" / "ChallengeDB_release"
    (folder / "Images" / "trainingImages").mkdir(parents=True)
    (folder / "Data").mkdir()
    for i, name in enumerate(NAMES):
        place = folder / "Images" / "trainingImages" if i < 7 else folder / "Images"
        kind = "BMP" if name.endswith("bmp") else "JPEG"
        Image.fromarray(np.full((8, 8, 3), 20 * i, np.uint8)).save(place / name, format=kind)
    names = np.empty((len(NAMES), 1), object)
    names[:, 0] = NAMES
    savemat(folder / "Data" / "AllImages_release.mat", {"AllImages_release": names})
    savemat(folder / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.array([SCORES])})
    (folder / "COPYRIGHT.txt").write_text("The University of Texas at Austin")
    return tmp_path / "data"


def test_names_and_scores_are_matched_and_the_training_pictures_left_out(root):
    manifest = datasets.load("clive", root=str(root), protocol="random-60-20-20")
    assert dict(zip(manifest.table["path"], manifest.table["opinion"], strict=True)) == {
        "10.JPG": 92.4,
        "11.JPG": 63.2,
        "3.bmp": 10.5,
        "900.bmp": 3.42,
    }
    assert manifest.score_range == (0.0, 100.0)
    assert any("the first 7 pictures" in note for note in manifest.notes)


def test_a_damaged_and_a_missing_mat_file_are_said(root):
    data = root / "ChallengeDB_release" / "Data"
    (data / "AllMOS_release.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match="AllMOS_release.mat cannot be read as the published .mat file"):
        datasets.load("clive", root=str(root))
    (data / "AllMOS_release.mat").unlink()
    with pytest.raises(DataError, match="has no AllMOS_release.mat"):
        datasets.load("clive", root=str(root))


def test_arrays_of_different_length_are_refused(root):
    savemat(root / "ChallengeDB_release/Data/AllMOS_release.mat", {"AllMOS_release": np.array([SCORES[:-1]])})
    with pytest.raises(DataError, match="names 11 pictures, and there are 10 scores"):
        datasets.load("clive", root=str(root))


def test_a_score_that_is_no_number_is_a_fault_of_its_picture(root):
    scores = np.array([*SCORES[:-2], "6_3", "x"], object)[:, None]
    savemat(root / "ChallengeDB_release/Data/AllMOS_release.mat", {"AllMOS_release": scores})
    with pytest.raises(DataError, match="(?s)the mos of '11.JPG' is '6_3': give a number in.*'900.bmp' is 'x': give a"):
        datasets.load("clive", root=str(root))
