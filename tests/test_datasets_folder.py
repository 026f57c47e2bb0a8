"""A folder of pictures and a csv, as people have them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqa import datasets
from iqa.datasets import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(path)


def folder(root: Path, count: int = 10, lines: list[str] | None = None, header: str = "image,mos") -> Path:
    """`count` pictures 0.png… below images/, scored 10, 11, …"""
    for i in range(count):
        picture(root / "images" / f"{i}.png", i)
    rows = [f"{i}.png,{10 + i}" for i in range(count)] if lines is None else lines
    (root / "scores.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def load(root: Path, **options) -> datasets.Manifest:
    return datasets.load(str(root), **options)


def test_a_folder_becomes_a_manifest_of_relative_paths_and_unit_scores(tmp_path):
    root = folder(tmp_path / "set")
    manifest = load(root)
    row = manifest.table.iloc[3]
    assert (manifest.name, len(manifest), row["path"]) == ("set", 10, "images/3.png")
    assert (row["opinion"], row["score"]) == (13.0, pytest.approx(0.13))
    assert row["digest"] == row["group"] == hashlib.sha256(manifest.file(3).read_bytes()).hexdigest()
    assert (manifest.score_range, manifest.scores_are) == ((0.0, 100.0), "opinion scores")


def test_every_guess_is_said(tmp_path):
    root = folder(tmp_path / "set")
    (root / "COPYRIGHT.txt").write_text("mine")
    picture(root / "unlisted.png", 99)
    notes = "\n".join(load(root).notes)
    assert "scores 10…19 taken as on a scale of 0–100" in notes
    assert "columns of scores.csv: image = 'image', score = 'mos'" in notes
    assert "10 names were found in subfolders" in notes
    assert "1 images of the folder are not in scores.csv: left out" in notes
    assert "COPYRIGHT.txt" in notes
    assert "split random-60-20-20 by content, split_seed 0: 6 / 2 / 2 train/validation/test" in notes


def test_the_split_depends_on_split_seed_and_contents_alone(tmp_path):
    first = load(folder(tmp_path / "one"))
    for i in range(10):
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "two" / f"renamed{i}.png").write_bytes(first.file(i).read_bytes())
    (tmp_path / "two" / "s.csv").write_text("mos,name\n" + "".join(f"{19 - i},renamed{9 - i}.png\n" for i in range(10)))
    assert load(tmp_path / "two").digest == first.digest
    assert load(tmp_path / "two", split_seed=1).digest != first.digest


def test_protocols_are_named_and_unknown_ones_refused(tmp_path):
    root = folder(tmp_path / "set")
    manifest = load(root, protocol="random-80-20")
    assert manifest.protocol == "random-80-20" and len(manifest.part("validation")) == 0
    with pytest.raises(DataError, match="no protocol 'random'.*random-60-20-20"):
        load(root, protocol="random")
    with pytest.raises(DataError, match="set has no protocol 'split-column': give one of"):
        load(root, protocol="split-column")


def test_the_csvs_own_split_is_kept(tmp_path):
    lines = [f"{i}.png,{i},{'test' if i > 6 else 'val' if i > 4 else 'training'}" for i in range(10)]
    manifest = load(folder(tmp_path / "set", lines=lines, header="image,mos,split"))
    assert manifest.protocol == "split-column"
    assert [len(manifest.part(part)) for part in ("train", "validation", "test")] == [5, 2, 3]


def test_a_content_in_two_parts_is_refused_or_left_out(tmp_path):
    lines = [f"{i}.png,{i},{'test' if i > 6 else 'train'}" for i in range(10)]
    root = folder(tmp_path / "set", lines=lines, header="image,mos,split")
    (root / "images/9.png").write_bytes((root / "images/0.png").read_bytes())
    with pytest.raises(DataError, match=r"the same content stands in train and test \('images/0.png', 'images/9.png'"):
        load(root)
    manifest = load(root, on_bad="skip")
    assert len(manifest) == 8 and not {"images/0.png", "images/9.png"} & set(manifest.table["path"])


def test_equal_contents_fall_into_one_part_when_the_parts_are_drawn(tmp_path):
    root = folder(tmp_path / "set")
    for i in range(1, 6):
        (root / f"images/{i}.png").write_bytes((root / "images/0.png").read_bytes())
    table = load(root).table
    assert (table.groupby("digest")["split"].nunique() == 1).all()


def test_groups_stay_together(tmp_path):
    lines = [f"{i}.png,{i},scene{i // 2}" for i in range(10)]
    table = load(folder(tmp_path / "set", lines=lines, header="image,mos,scene")).table
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert table["group"].nunique() == 5


def test_all_faults_come_in_one_error(tmp_path):
    lines = ["0.png,1", "gone.png,2", "../0.png,3", "1.png,nan", "2.png,4", "2.png,5", "bad.png,6"]
    root = folder(tmp_path / "set", lines=lines)
    (root / "bad.png").write_bytes(b"")
    with pytest.raises(DataError) as refusal:
        load(root)
    lines = str(refusal.value).splitlines()
    assert "scores.csv has 5 faults (mend them, or pass on_bad=skip" in lines[0]
    for expected, line in zip(
        ("line 5: the score", "line 3: 'gone.png'", "line 4: '../0.png'", "line 7: 'images/2.png' stands in line 6"),
        lines[1:],
        strict=False,
    ):
        assert expected in line
    assert "bad.png' is not a picture" in lines[-1]


def test_skip_leaves_faults_out_and_counts_them(tmp_path):
    lines = ["0.png,1", "gone.png,2", "1.png,nan", "2.png,4", "3.png,5", "3.png,5"]
    manifest = load(folder(tmp_path / "set", lines=lines), on_bad="skip")
    assert list(manifest.table["path"]) == ["images/0.png", "images/2.png", "images/3.png"]
    notes = "\n".join(manifest.notes)
    assert "2 faults, left out:" in notes and "gone.png" in notes and "1 lines repeat an earlier one" in notes


def test_thousands_of_faults_are_shown_as_twenty_and_a_count(tmp_path):
    root = folder(tmp_path / "set", lines=[f"no{i}.png,1" for i in range(500)])
    with pytest.raises(DataError) as refusal:
        load(root)
    assert len(str(refusal.value).splitlines()) == 22
    assert "and 480 more" in str(refusal.value) and len(refusal.value.faults) == 500


def test_nothing_left_is_an_error_even_when_skipping(tmp_path):
    with pytest.raises(DataError, match="nothing of .* is left to use"):
        load(folder(tmp_path / "set", lines=["no.png,1"]), on_bad="skip")


def test_a_folder_without_a_csv_is_unlabelled(tmp_path):
    root = folder(tmp_path / "set")
    (root / "scores.csv").unlink()
    manifest = load(root)
    assert manifest.table["score"].isna().all() and manifest.scores_are == "none (unlabelled)"
    with pytest.raises(DataError, match="no score for 10 of its 10"):
        manifest.labelled()


def test_two_csv_files_and_no_images_are_refused(tmp_path):
    root = folder(tmp_path / "set")
    (root / "more.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"2 csv files \(more.csv, scores.csv\)"):
        load(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        load(tmp_path / "empty")


def test_too_few_contents_to_split_are_refused(tmp_path):
    with pytest.raises(DataError, match="2 different contents cannot be split into 3 parts"):
        load(folder(tmp_path / "set", count=2))


def test_a_folder_loads_again_without_reading_a_picture(tmp_path, monkeypatch):
    from iqa.datasets import contents

    root = tmp_path / "set"
    picture(root / "0.png", 0)
    body = (root / "0.png").read_bytes()
    for i in range(300):
        (root / f"{i}.png").write_bytes(body + bytes([i % 256, i // 256]))  # trailing bytes: another content
    (root / "s.csv").write_text("image,mos\n" + "".join(f"{i}.png,{i % 5}\n" for i in range(300)))
    first = load(root)
    monkeypatch.setattr(contents, "_inspect", lambda path, name: pytest.fail(f"{path} was read again"))
    assert load(root).digest == first.digest
