"""Names in a csv mean files in the folder, and never anything outside it."""

import os
import unicodedata

import pytest

from iqa.datasets.tree import Tree


@pytest.fixture
def root(tmp_path):
    inside = tmp_path / "set"
    for name in ("a.png", "images/b.JPG", "images/deep/c.png", "left/d.png", "right/d.png", ".hidden/e.png", "f.txt"):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_bytes(b"x")
    (tmp_path / "outside.png").write_bytes(b"x")
    return inside


def test_only_visible_images_are_listed(root):
    assert Tree(root).files == ["a.png", "images/b.JPG", "images/deep/c.png", "left/d.png", "right/d.png"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.png", "a.png"),
        ("./a.png", "a.png"),
        ("images/b.JPG", "images/b.JPG"),
        ("b.JPG", "images/b.JPG"),
        ("b.jpg", "images/b.JPG"),
        ("IMAGES/B.jpg", "images/b.JPG"),
        ("c", "images/deep/c.png"),
        ("left/d.png", "left/d.png"),
    ],
)
def test_a_name_means_the_exact_file_else_one_that_nothing_else_can_be(root, name, path):
    assert Tree(root).find(name) == (path, "")


def test_loose_matches_are_counted(root):
    tree = Tree(root)
    for name in ("a.png", "images/b.JPG", "b.jpg", "c"):
        tree.find(name)
    assert tree.loosely_matched == 2


@pytest.mark.parametrize(
    "name", ["../outside.png", "/etc/passwd", "..\\outside.png", "images/../../outside.png", "a\0"]
)
def test_a_name_that_leads_out_is_refused(root, name):
    path, fault = Tree(root).find(name)
    assert path == "" and "leads out of the folder" in fault


def test_a_link_that_leads_out_is_neither_listed_nor_found(root):
    (root / "link.png").symlink_to(root.parent / "outside.png")
    (root / "near.png").symlink_to(root / "a.png")
    (root / "up").symlink_to(root.parent)
    tree = Tree(root)
    assert "link.png" not in tree.files and "near.png" in tree.files
    assert "is a link that leads out of the folder" in tree.find("link.png")[1]
    assert "is a link that leads out of the folder" in tree.find("up/outside.png")[1]


def test_loops_pipes_and_folders_with_image_names_are_left_out(root):
    (root / "loop").symlink_to(root)
    (root / "loop.png").symlink_to(root / "loop.png")
    os.mkfifo(root / "pipe.png")
    (root / "folder.png").mkdir()
    tree = Tree(root)
    assert len(tree.files) == 5
    for name in ("pipe.png", "folder.png"):
        assert "is not a file" in tree.find(name)[1]
    assert "is a link to nothing" in tree.find("loop.png")[1]


def test_missing_ambiguous_and_unknown_names_each_have_their_sentence(root):
    tree = Tree(root)
    assert "add the image, or remove the line" in tree.find("z.png")[1]
    assert "may be 'left/d.png' or 'right/d.png'" in tree.find("d.png")[1]
    assert "has none of the suffixes" in tree.find("f.txt")[1]


def test_unicode_forms_mean_the_same_file_unless_both_are_there(root):
    composed, decomposed = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))
    (root / decomposed).write_bytes(b"x")
    assert Tree(root).find(composed) == (decomposed, "")
    (root / composed).write_bytes(b"x")
    assert Tree(root).find(composed) == (composed, "")


@pytest.mark.parametrize("name", ["a b.png", "new\nline.png", "$(touch x).png", "x" * 251 + ".png", "quote'\".png"])
def test_odd_names_are_names(root, name):
    (root / name).write_bytes(b"x")
    assert Tree(root).find(name) == (name, "")


def test_names_that_are_not_utf8_are_counted_and_left_out(root):
    (root / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    assert Tree(root).unnameable == 1 and len(Tree(root).files) == 5
