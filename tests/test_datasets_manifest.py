"""The table that every data set becomes."""

import math
from pathlib import Path

import pytest

from iqa.datasets.manifest import COLUMNS, DataError, Manifest, table_of

ROWS = {
    "path": ["a.png", "b.png", "c.png"],
    "score": [0.1, 0.5, 0.9],
    "opinion": [10.0, 50.0, 90.0],
    "split": ["train", "train", "test"],
    "group": ["x", "x", "y"],
    "family": ["reference", "jpeg", "reference"],
    "level": [-1, 3, -1],
    "digest": ["d1", "d2", "d3"],
}


def manifest(root: str = "/data", **changes) -> Manifest:
    return Manifest("toy", Path(root), table_of({**ROWS, **changes}), (0.0, 100.0), "opinion scores", "split-column")


def reordered(order: list[int]) -> Manifest:
    return manifest(**{name: [values[i] for i in order] for name, values in ROWS.items()})


def test_a_table_has_the_columns_in_order_and_unknown_ones_filled():
    table = table_of({"path": ["a.png"]})
    assert list(table) == list(COLUMNS)
    assert table["level"][0] == -1 and table["family"][0] == "" and math.isnan(table["score"][0])
    assert {name: str(kind) for name, kind in table.dtypes.items()} == COLUMNS


def test_a_part_keeps_its_rows_in_order_with_the_same_columns():
    train = manifest().part("train")
    assert list(train.table["path"]) == ["a.png", "b.png"] and len(train) == 2
    assert list(train.table) == list(COLUMNS) and list(train.table.index) == [0, 1]
    assert list(manifest().part("test").table.index) == [0]


def test_parts_are_disjoint_and_make_up_the_whole():
    paths = [path for part in ("train", "validation", "test") for path in manifest().part(part).table["path"]]
    assert sorted(paths) == sorted(ROWS["path"])


def test_a_part_that_a_set_does_not_have_is_empty_and_an_unknown_one_an_error():
    assert len(manifest().part("validation")) == 0
    with pytest.raises(DataError, match="no part 'val'.*train, validation, test"):
        manifest().part("val")


def test_references_are_the_pristine_rows_or_everything():
    assert list(manifest().references().table["path"]) == ["a.png", "c.png"]
    assert len(manifest(family=["", "", ""]).references()) == 3


def test_a_file_is_found_below_the_root():
    assert manifest().part("test").file(0) == Path("/data/c.png")


def test_the_digest_ignores_order_root_and_names():
    digest = manifest().digest
    assert len(digest) == 32 and int(digest, 16) >= 0
    assert reordered([2, 0, 1]).digest == digest
    assert manifest(root="/elsewhere").digest == digest
    assert manifest(path=["1.png", "2.png", "3.png"]).digest == digest


@pytest.mark.parametrize(
    "change", [{"score": [0.1, 0.5, 0.91]}, {"split": ["train", "test", "test"]}, {"digest": ["d1", "d2", "d4"]}]
)
def test_the_digest_sees_contents_scores_and_parts(change):
    assert manifest(**change).digest != manifest().digest


def test_what_has_no_scores_says_so_when_they_are_needed():
    assert len(manifest().labelled()) == 3
    with pytest.raises(DataError, match="toy has no score for 1 of its 3 images"):
        manifest(score=[0.1, math.nan, 0.9]).labelled()


def test_notes_are_added_not_replaced():
    assert manifest().with_notes("one").with_notes("two").notes == ("one", "two")
