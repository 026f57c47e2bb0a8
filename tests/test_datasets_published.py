"""Finding a published set where people keep it, and saying what is missing where they do not."""

import os
import re

import pytest

from iqa import datasets
from iqa.datasets import DataError, published
from iqa.datasets.assembly import Entry, Listing
from iqa.datasets.tree import Tree

NOTHING = published.Published(
    "toy", "Toy-1k", "https://example.org/toy", "pictures and Scores.csv", ("Scores.csv",), 3, None
)


def toy(**changes) -> published.Published:
    def read(annotations, seen):
        return Listing("toy", annotations.parent, annotations, [], (0.0, 1.0))

    return published.Published(**{**vars(NOTHING), "read": read, **changes})


@pytest.mark.parametrize("place", ["toy", ".", "toy/Toy-1k", "Toy-1k", "archive/Toy-1k/data"])
def test_a_set_is_found_below_the_root_in_its_folder_or_a_little_deeper(tmp_path, place):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "scores.CSV").write_text("x")
    found = published.listing(toy(), str(tmp_path))
    assert found.source.parent.resolve() == (tmp_path / place).resolve()
    assert re.search("Toy-1k in .*licence: https://example.org/toy", found.notes[0])
    assert found.notes[-1] == "0 pictures where 3 are published"


def test_the_better_annotation_wins_over_the_shallower(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "best.csv").write_text("x")
    (tmp_path / "good.csv").write_text("x")
    found = published.listing(toy(annotations=("best.csv", "good.csv")), str(tmp_path))
    assert found.source.name == "best.csv"


def close(monkeypatch, *folders):
    """Folders that may not be listed, as mode 0 makes them for everybody but root, whom tests may run as."""
    scandir, access = os.scandir, os.access

    def listed(folder="."):
        if str(folder) in map(str, folders):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", listed)
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in map(str, folders) and access(path, mode))


def test_a_folder_that_is_closed_to_us_is_passed_over(tmp_path, monkeypatch):
    for name in ("lost+found", "toy"):
        (tmp_path / name).mkdir()
    (tmp_path / "Scores.csv").write_text("x")
    close(monkeypatch, tmp_path / "lost+found", tmp_path / "toy")
    assert published.located(toy(), str(tmp_path)) == tmp_path / "Scores.csv"


def test_a_set_that_is_missing_where_a_folder_is_closed_to_us_says_so(tmp_path, monkeypatch):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "Scores.csv").write_text("x")
    close(monkeypatch, tmp_path / "toy")
    with pytest.raises(DataError, match=r"there is no Toy-1k .* \(\S+/toy cannot be read by you\): get it"):
        published.listing(toy(), str(tmp_path))


@pytest.mark.parametrize("name", datasets.PUBLISHED)
def test_a_missing_set_says_what_to_get_from_where_and_how_to_check_it(tmp_path, name):
    with pytest.raises(DataError) as refusal:
        datasets.load(name, root=str(tmp_path))
    sentence = str(refusal.value)
    one = datasets.PUBLISHED[name]
    assert all(part in sentence for part in (one.title, one.page, one.tree, f"iqa data verify --data={name}"))


def test_columns_are_found_in_any_case_and_refused_when_missing_or_doubled(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("Name,MOS,other\na.png,1,x\nb.png,2\n")
    lines, faults = published.rows(file, ("name", "mos"), [])
    assert lines == [(2, {"name": "a.png", "mos": "1"})]
    assert faults == ["line 3: 2 fields where the header has 3"]
    with pytest.raises(DataError, match="no column 'dmos' among"):
        published.rows(file, ("name", "dmos"), [])
    file.write_text("name,mos,MOS\na.png,1,2\n")
    with pytest.raises(DataError, match="more than one column 'mos'"):
        published.rows(file, ("name", "mos"), [])


def test_each_bad_line_gets_its_sentence(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    rows = [("a.png", "1"), ("a.png", "1"), ("c.png", "1"), ("b.png", "7"), ("b.png", "x"), ("b.png", "2")]
    lines = [(i + 2, {"name": name, "mos": mos}) for i, (name, mos) in enumerate(rows)]

    def build(path, opinion, values):
        if opinion == 2:
            raise ValueError("two is odd")
        return Entry(path, opinion)

    found, faults = published.entries(lines, Tree(tmp_path), ("name", "mos"), (0, 5), build)
    assert [entry.path for entry in found] == ["a.png"]
    assert [re.sub(r" in '.*?'", "", fault) for fault in faults] == [
        "line 3: 'a.png' stands there twice: keep one line",
        "line 4: 'c.png' is not: add the image, or remove the line",
        "line 5: the mos of 'b.png' is 7, outside 0…5: use the file as it is published",
        "line 6: the mos of 'b.png' is 'x': give a number",
        "line 7: two is odd",
    ]
