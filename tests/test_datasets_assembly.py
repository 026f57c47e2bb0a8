"""From a listing to a manifest, for readers that know more than a csv's two columns."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqa.datasets.assembly import Entry, FaultyData, Listing, Turn, assemble, licences
from iqa.datasets.manifest import FAULTS_SHOWN, DataError, listed


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(8):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(folder / f"{i}.png")
    return folder


def listing(root: Path, parts: str = "", **more) -> Listing:
    """Eight entries; `parts` such as "TTTTTVEE" gives train, validation and test."""
    words = {"T": "train", "V": "validation", "E": "test"}
    names = [words[letter] for letter in parts] or [""] * 8
    entries = [Entry(f"{i}.png", i + 1.0, names[i], f"g{i // 2}", "jpeg", i % 5) for i in range(8)]
    given = {"given": "official", "others": {"merged": ("train", "train", "test")}} if parts else {}
    return Listing("toy", root, root, entries, (1.0, 9.0), **given, **more)


def test_families_levels_groups_and_the_range_are_kept(root):
    manifest = assemble(listing(root), Turn(), "error")
    row = manifest.table.iloc[4]
    assert (row["family"], row["level"], row["group"], row["score"]) == ("jpeg", 4, "g2", 0.5)
    assert manifest.score_range == (1.0, 9.0)


def test_the_given_parts_are_the_default_and_can_be_merged_or_redrawn(root):
    sizes = {}
    for protocol in ("", "official", "merged", "random-60-20-20"):
        manifest = assemble(listing(root, "TTTTTVEE"), Turn(protocol), "error")
        sizes[protocol] = [len(manifest.part(part)) for part in ("train", "validation", "test")]
    assert sizes[""] == sizes["official"] == [5, 1, 2]
    assert sizes["merged"] == [6, 0, 2]
    assert sizes["random-60-20-20"] == [4, 2, 2]


def test_redrawn_parts_keep_groups_together_whatever_was_given(root):
    table = assemble(listing(root, "TTTTTVEE"), Turn("by-reference"), "error").table
    assert (table.groupby("group")["split"].nunique() == 1).all()


def test_an_unknown_protocol_is_answered_with_the_known_ones(root):
    with pytest.raises(DataError, match="toy has no protocol 'offical': give one of .*merged, official, random"):
        assemble(listing(root, "TTTTTVEE"), Turn("offical"), "error")


def test_a_content_in_two_given_parts_is_a_fault_unless_the_parts_are_redrawn(root):
    (root / "7.png").write_bytes((root / "0.png").read_bytes())
    with pytest.raises(FaultyData, match="the same content stands in train and test"):
        assemble(listing(root, "TTTTTVEE"), Turn(), "error")
    with pytest.raises(FaultyData):
        assemble(listing(root, "TTTTTVEE"), Turn("merged"), "error")
    assert len(assemble(listing(root, "TTTTTVEE"), Turn("random-80-20"), "error")) == 8


def test_the_readers_faults_and_the_files_come_together(root):
    (root / "3.png").write_bytes(b"")
    with pytest.raises(FaultyData) as refusal:
        assemble(listing(root, faults=["line 9: odd"]), Turn(), "error")
    assert len(refusal.value.faults) == 2 and refusal.value.faults[0] == "line 9: odd"
    skipped = assemble(listing(root, faults=["line 9: odd"]), Turn(), "skip")
    assert len(skipped) == 7 and any("2 faults, left out" in note for note in skipped.notes)


def test_equal_opinions_become_zero_and_not_a_division_by_zero(root):
    same = listing(root)
    same.score_range = (4.0, 4.0)
    same.entries = [Entry(f"{i}.png", 4.0) for i in range(8)]
    assert (assemble(same, Turn(), "error").table["score"] == 0).all()


def test_a_long_list_is_cut_and_counted():
    assert listed(["one"]) == "  one"
    assert listed([str(i) for i in range(FAULTS_SHOWN + 3)]).splitlines()[-1] == "  … and 3 more"


def test_notices_of_copyright_are_found_by_name(root):
    for name in ("COPYRIGHT.txt", "license", "LICENCE.md", "readme.txt"):
        (root / name).write_text("mine")
    assert [line.split(" in ")[0] for line in licences(root)] == ["COPYRIGHT.txt", "LICENCE.md", "license"]
