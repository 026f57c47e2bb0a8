"""Pictures that somebody names: which files those are, what is skipped, what is written."""

import csv
import os

import pytest
import torch

from iqa import album, images
from iqa.album import Picture
from iqa.scorer import Preprocessing, Scale


def picture(file, value=0, side=40):
    file.parent.mkdir(parents=True, exist_ok=True)
    images.save_png(torch.full((3, side, side), value, dtype=torch.uint8), file)
    return file


class Brightness:
    """A scorer whose score is the brightness of a picture."""

    preprocessing, scale = Preprocessing(32, 1, "native", "bicubic", 40), Scale("toys", "brightness", 0.0, 255.0)

    def read(self, file):
        return images.read(file)

    def score(self, pictures):
        return (float(one.float().mean()) / 255 for one in pictures)


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Four pictures in two folders, and a text file."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("d/b.png", 51), ("d/a.png", 102), ("d/in/c.png", 153), ("e/d.png", 204)):
        picture(tmp_path / name, value)
    (tmp_path / "d" / "notes.txt").write_text("no picture")
    return tmp_path


def test_of_a_folder_every_picture_counts_in_the_order_of_names_and_nothing_else(toys):
    assert album.named(["e", "d"]).files == ["e/d.png", "d/a.png", "d/b.png", "d/in/c.png"]


def test_what_is_named_twice_is_scored_once(toys):
    os.symlink(toys / "d" / "a.png", toys / "d" / "z.png")
    found = album.named(["d/a.png", "d", str(toys / "d" / "a.png")])
    assert found.files == ["d/a.png", "d/b.png", "d/in/c.png"] and found.again == 3


def test_folders_without_pictures_and_names_that_no_csv_can_hold_are_skipped_with_a_sentence(toys):
    (toys / "empty").mkdir()
    found = album.named(["empty", "d/\udcff.png", "e/d.png"])
    assert found.files == ["e/d.png"]
    assert [reason.partition(" ")[2].partition(":")[0] for reason in found.skipped] == [
        "holds no pictures",
        "has a name that is not UTF-8",
    ]


def written(paths, file, thumbnails=False):
    found = album.named(paths)
    with album.output(file) as out:
        album.write(found, Brightness(), "runs:/0/model", out, thumbnails)
    with file.open(newline="") as lines:
        return found, list(csv.DictReader(lines))


def test_the_csv_has_a_line_a_picture_with_score_opinion_and_model(toys):
    found, rows = written(["d", "e"], toys / "scores.csv")
    assert [row["image"] for row in rows] == ["d/a.png", "d/b.png", "d/in/c.png", "e/d.png"]
    assert [float(row["score"]) for row in rows] == pytest.approx([0.4, 0.2, 0.6, 0.8])
    assert [row["opinion"] for row in rows] == ["102", "51", "153", "204"]
    assert {row["model"] for row in rows} == {"runs:/0/model"} and found.count == 4 and found.skipped == []


def test_bad_pictures_are_named_and_the_others_are_scored(toys):
    (toys / "d" / "ab.png").write_text("no picture")
    found, rows = written(["d", "nowhere.png"], toys / "scores.csv")
    assert [row["image"] for row in rows] == ["d/a.png", "d/b.png", "d/in/c.png"]
    assert [reason.partition("'")[2].partition("'")[0] for reason in found.skipped] == ["d/ab.png", "nowhere.png"]


def test_without_any_picture_nothing_is_written_and_every_reason_is_told(toys):
    (toys / "scores.csv").write_text("kept")
    with pytest.raises(ValueError, match="no picture to score:\n  'nowhere.png' cannot be opened"):
        written(["nowhere.png"], toys / "scores.csv")
    assert (toys / "scores.csv").read_text() == "kept" and sorted(os.listdir(toys)) == ["d", "e", "scores.csv"]


def test_the_same_command_again_writes_the_same_bytes(toys):
    written(["d"], toys / "scores.csv")
    first = (toys / "scores.csv").read_bytes()
    written(["d"], toys / "scores.csv")
    assert (toys / "scores.csv").read_bytes() == first


@pytest.mark.parametrize(("name", "sentence"), [("d", "is a folder"), ("out.JPG", "is named like a picture")])
def test_a_file_that_must_not_be_replaced_is_refused_before_anything_is_scored(name, sentence, toys):
    with pytest.raises(ValueError, match=sentence), album.output(toys / name):
        raise AssertionError("it was begun")


def test_of_many_pictures_the_sheet_shows_both_ends_best_first(toys, monkeypatch):
    monkeypatch.setattr(album, "SHOWN", 4)
    for value in range(11):
        picture(toys / "many" / f"{value:02}.png", 10 + value)
    found, rows = written(["many"], toys / "scores.csv", thumbnails=True)
    assert len(rows) == 11 and found.left_out == 7
    assert [one.name for one in found.shown] == ["many/10.png", "many/09.png", "many/01.png", "many/00.png"]
    assert all(one.thumbnail.startswith(b"\xff\xd8") for one in found.shown)


def test_equal_scores_stand_in_the_order_of_their_names():
    pictures = [Picture(name, 0.5, 50.0, b"") for name in "bca"]
    assert [one.name for one in album.ends(pictures)] == ["a", "b", "c"]


@pytest.mark.parametrize(("side", "told"), [(40, False), (80, False), (90, True), (19, True)])
def test_pictures_of_quite_another_size_than_the_training_s_are_remarked_on(side, told):
    said = album.unlike_training(album.Album(sides=[side] * 3), Brightness())
    assert ("--input_size=40" in said) is told


def test_a_stop_leaves_the_older_files_as_they_were(toys):
    (toys / "scores.csv").write_text("kept")
    with pytest.raises(KeyboardInterrupt), album.output(toys / "scores.csv") as out:
        out.write("half")
        raise KeyboardInterrupt
    assert (toys / "scores.csv").read_text() == "kept" and not list(toys.glob(".*"))
