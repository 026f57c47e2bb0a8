"""AGIQA-3K's tree in miniature, with the header and rows of the real csv."""

import numpy as np
import pytest
from PIL import Image

from iqa import datasets
from iqa.datasets import DataError

HEADER = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align"
ROWS = [
    "AttnGAN_normal_000.jpg,statue of a man,,,,0.965602553,0.223270101,0.40889324,0.615607722",
    "AttnGAN_normal_001.jpg,a tray of sushi,,,,1.361853219,0.645422466,0.428796637,0.667071153",
    'DALLE2_000.jpg,"statue, of a man",,,,4.488740784,0.2,3.9,0.3',
    "DALLE2_001.jpg,a tray of sushi,,,,0,0.6,0.4,0.6",
    "SD_002.jpg,a cosmic universe,,,,2.5,0.6,0.4,0.6",
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data" / "agiqa"
    (folder / "images").mkdir(parents=True)
    for i, row in enumerate(ROWS):
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(folder / "images" / row.split(",")[0])
    (folder / "data.csv").write_bytes("\r\n".join([HEADER, *ROWS, ""]).encode())
    return folder.parent


def test_quality_is_the_score_and_the_prompt_the_unit(root):
    manifest = datasets.load("agiqa", root=str(root))
    table = manifest.table.set_index("path")
    assert table.loc["images/DALLE2_000.jpg", "opinion"] == 4.488740784
    assert table.loc["images/AttnGAN_normal_000.jpg", "score"] == pytest.approx(0.965602553 / 5)
    assert manifest.score_range == (0.0, 5.0)
    assert table.loc["images/DALLE2_001.jpg", "group"] == "a tray of sushi"
    assert (manifest.table.groupby("group")["split"].nunique() == 1).all()


def test_a_data_csv_of_something_else_is_refused(root):
    (root / "agiqa" / "data.csv").write_text("name,prompt,mos\na.jpg,x,1\n")
    with pytest.raises(DataError, match="no column 'mos_quality'"):
        datasets.load("agiqa", root=str(root))


def test_a_missing_prompt_and_a_score_out_of_range_are_faults(root):
    lines = ["SD_002.jpg,,,,,2.5,0.6,0.4,0.6", "DALLE2_001.jpg,x,,,,77,0.6,0.4,0.6"]
    (root / "agiqa" / "data.csv").write_text("\n".join([HEADER, *lines]))
    with pytest.raises(DataError, match="(?s)SD_002.jpg' has no prompt.*is 77, outside 0…5"):
        datasets.load("agiqa", root=str(root))
