"""Crops of the photographs that the installed packages bring."""

import pytest
import torch

from iqa import images
from iqa.datasets import photographs
from iqa.datasets.manifest import DataError


@pytest.mark.parametrize("name", photographs.PHOTOGRAPHS)
def test_every_photograph_is_there_with_six_different_crops(name):
    crops = photographs.crops(name, 64)
    assert len(crops) == photographs.CROPS == 6
    assert all(crop.shape == (3, 64, 64) and crop.dtype == torch.uint8 and crop.is_contiguous() for crop in crops)
    assert len({crop.numpy().tobytes() for crop in crops}) == 6


def test_crops_are_the_same_every_time():
    for first, second in zip(photographs.crops("coffee", 256), photographs.crops("coffee", 256), strict=True):
        assert torch.equal(first, second)


def test_the_crops_of_a_large_photograph_lie_side_by_side_and_the_second_row_is_mirrored():
    pixels = images.read(photographs._file(photographs.PHOTOGRAPHS["hubble"]))  # 872 × 1000
    crops = photographs.crops("hubble", 333)
    assert torch.equal(crops[0], pixels[:, :333, :333])
    assert torch.equal(crops[1], pixels[:, :333, 333:666])
    assert torch.equal(crops[3].flip(2), pixels[:, -333:, :333])


def test_every_photograph_has_a_licence_in_the_line_that_is_shown():
    line = photographs.licences(("china", "coffee"))
    assert line == "photographs: china (CC BY 2.0, danielbuechele (Flickr)); coffee (CC0, Rachel Michetti)"
    assert all(photo.licence for photo in photographs.PHOTOGRAPHS.values())


def test_a_missing_package_is_named(monkeypatch):
    gone = photographs.Photograph("no_such_package", "a.png", "none")
    monkeypatch.setitem(photographs.PHOTOGRAPHS, "gone", gone)
    with pytest.raises(DataError, match="needs the package no_such_package"):
        photographs.crops("gone", 64)
