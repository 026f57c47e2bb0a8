"""KonIQ-10k's tree in miniature, with the header and rows of the real csv."""

import numpy as np
import pytest
from PIL import Image

from iqa import datasets
from iqa.datasets import DataError

HEADER = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set"
ROWS = [
    "10004473376.jpg,0.0,0.0,0.238095238095,0.695238095238,0.0666666666667,105,77.3836206897,0.527277894494,training",
    "10007357496.jpg,0.0,0.03125,0.46875,0.489583333333,0.0104166666667,96,68.7285714286,0.580003024795,test",
    "10007903636.jpg,0.0104166666667,0.0,0.208333333333,0.760416666667,0.02083,96,78.6285714286,0.527,training",
    "100117038.jpg,0.0,0.01,0.21,0.72,0.06,100,75.1125,0.532859638122,validation",
]
NAMES = [row.split(",")[0] for row in ROWS]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data" / "koniq"
    pictures(folder / "512x384")
    (folder / "koniq10k_distributions_sets.csv").write_text("\n".join([HEADER, *ROWS]))
    return folder.parent


def pictures(folder):
    folder.mkdir(parents=True)
    for i, name in enumerate(NAMES):
        Image.fromarray(np.full((12, 16, 3), 50 * i, np.uint8)).save(folder / name)


def load(root, **options):
    return datasets.load("koniq", root=str(root), **options)


def test_the_official_parts_and_the_scale_of_a_hundred(root):
    manifest = load(root)
    assert manifest.protocol == "koniq-official" and manifest.name == "koniq"
    assert [len(manifest.part(part)) for part in ("train", "validation", "test")] == [2, 1, 1]
    test = manifest.part("test").table.iloc[0]
    assert (test["path"], test["opinion"]) == ("10007357496.jpg", 68.7285714286)
    assert test["score"] == pytest.approx(0.687285714286) and manifest.score_range == (0.0, 100.0)


def test_the_older_protocol_trains_on_the_validation_part_too(root):
    manifest = load(root, protocol="koniq-8058")
    assert [len(manifest.part(part)) for part in ("train", "validation", "test")] == [3, 0, 1]


def test_the_smaller_pictures_are_taken_where_both_sizes_are(root):
    pictures(root / "koniq" / "1024x768")
    assert load(root).root.name == "512x384" and any("pictures from 512x384/" in note for note in load(root).notes)


def test_the_other_official_csv_has_no_parts_and_its_z_score_is_taken(root):
    (root / "koniq" / "koniq10k_distributions_sets.csv").unlink()
    lines = [f"{name},0,0,0,1,0,100,3.5,0.5,{60 + i}" for i, name in enumerate(NAMES)]
    other = root / "koniq" / "koniq10k_scores_and_distributions.csv"
    other.write_text("\n".join(["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,MOS_zscore", *lines]))
    manifest = load(root)
    assert sorted(manifest.table["opinion"]) == [60, 61, 62, 63] and manifest.protocol == "random-60-20-20"
    assert any("koniq-official needs koniq10k_distributions_sets.csv" in note for note in manifest.notes)
    with pytest.raises(DataError, match="koniq has no protocol 'koniq-official'"):
        load(root, protocol="koniq-official")


def test_scores_on_the_wrong_scale_are_refused(root):
    file = root / "koniq" / "koniq10k_distributions_sets.csv"
    file.write_text(f"{HEADER}\n{NAMES[0]},0,0,0,1,0,100,3.5,0.5,training\n")
    with pytest.raises(DataError, match="MOS on 1–5 where 0–100 is published"):
        load(root)


def test_a_missing_picture_an_odd_set_and_a_missing_folder_are_said(root):
    file = root / "koniq" / "koniq10k_distributions_sets.csv"
    file.write_text("\n".join([HEADER, *ROWS[:3], ROWS[3].replace("validation", "holdout"), "9.jpg" + ROWS[0][15:]]))
    with pytest.raises(DataError, match="(?s)2 faults.*'holdout' is none of training.*'9.jpg' is not in"):
        load(root)
    (root / "koniq" / "512x384").rename(root / "koniq" / "elsewhere")
    with pytest.raises(DataError, match="no folder '512x384' nor '1024x768': it should hold"):
        load(root)


def test_votes_are_whole_numbers_whether_shares_or_counts_are_given(root):
    assert list(load(root).table["votes"])[:2] == ["0 0 25 73 7", "0 3 45 47 1"]
    (root / "koniq" / "koniq10k_distributions_sets.csv").unlink()
    lines = [f"{name},1,2,3,4,90,100,3.5,0.5,{60 + i}" for i, name in enumerate(NAMES)]
    other = root / "koniq" / "koniq10k_scores_and_distributions.csv"
    other.write_text("\n".join(["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,MOS_zscore", *lines]))
    assert set(load(root).table["votes"]) == {"1 2 3 4 90"}


@pytest.mark.parametrize(
    "told", ["0,0,0,0,0,105", "0,0,x,0.5,0.5,105", "0,-1,0,1,1,105", "0,0,0,0.5,0.5,", "0,0,0,1,0,0"]
)
def test_votes_that_cannot_be_are_unknown_and_stop_nothing(root, told):
    file = root / "koniq" / "koniq10k_distributions_sets.csv"
    file.write_text("\n".join([HEADER, f"{NAMES[0]},{told},77.4,0.5,training", *ROWS[1:]]))
    assert list(load(root).table["votes"])[0] == ""


def test_a_csv_without_votes_is_taken(root):
    file = root / "koniq" / "koniq10k_distributions_sets.csv"
    rows = [row.split(",") for row in (HEADER, *ROWS)]
    file.write_text("\n".join(",".join([row[0], *row[7:]]) for row in rows))
    assert set(load(root).table["votes"]) == {""}
