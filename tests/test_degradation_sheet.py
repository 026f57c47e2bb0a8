"""The page of all families, and the recipe that the documentation gives for one more."""

import re
import sys
import textwrap
import types
from pathlib import Path

import pytest
import torch

from benchmarks import degradation_sheet
from iqa import degradations
from iqa.degradations import FAMILIES, Family

DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_shows_every_family_and_its_pictures_are_there():
    page = (DOCS / "degradations.md").read_text()
    assert set(re.findall(r"^\| (\w+) \| [\d.]", page, re.MULTILINE)) == set(FAMILIES)
    shown = set(re.findall(r"\]\((degradations/\w+\.jpg)\)", page))
    assert len(shown) == len({family.group for family in FAMILIES.values()})
    assert all((DOCS / name).read_bytes().startswith(b"\xff\xd8") for name in shown)


def test_levels_on_the_page_rise_or_the_command_fails():
    image = degradation_sheet.photograph()
    assert degradation_sheet.errors(degradation_sheet.views(image, "darken"))[4] > 10
    with pytest.raises(AssertionError):
        degradation_sheet.errors(degradation_sheet.views(image, "darken")[[0, 2, 1]])


def test_a_picture_is_drawn_pixel_by_pixel(tmp_path):
    from iqa import images

    image = degradation_sheet.photograph()
    degradation_sheet.draw(tmp_path / "one.jpg", {"darken": degradation_sheet.views(image, "darken")})
    drawn = images.read(tmp_path / "one.jpg").float() / 255
    left, top = degradation_sheet.LEFT, degradation_sheet.GAP
    side = degradation_sheet.SIDE
    assert (drawn[:, top : top + side, left : left + side] - image[0]).abs().mean() < 0.02


def code_of(page: str, beginning: str) -> str:
    """The indented block of a page that begins so, as it would stand in a file."""
    block = page[page.index(f"    {beginning}") :]
    return textwrap.dedent(re.split(r"\n(?=\S)", block)[0])


def test_the_documented_family_is_one_function_and_one_row_and_works(monkeypatch):
    code = code_of((DOCS / "adding-an-encoder-or-a-family.md").read_text(), "# iqa/degradations/brightness.py")
    function, row = code.split("# iqa/degradations/__init__.py, in FAMILIES")
    names: dict = {"torch": torch}
    exec(function, names)
    brightness = type("brightness", (), {"vignette": staticmethod(names["vignette"])})
    ((name, family),) = eval(f"{{{row.strip()}}}", {"Family": Family, "brightness": brightness}).items()
    monkeypatch.setitem(FAMILIES, name, family)
    image = degradation_sheet.photograph()
    views = degradations.degrade(image, "vignette", 5, [torch.Generator()])
    errors = (views[0] - image).square().mean(dim=(1, 2, 3))
    assert (errors[1:] > errors[:-1]).all() and errors[0] > 0


def test_the_documented_encoder_is_built_by_its_name(monkeypatch):
    from iqa import encoders

    code = code_of((DOCS / "adding-an-encoder-or-a-family.md").read_text(), "from timm.models import build")
    module = types.ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)  # timm looks for the module of what it registers
    exec(code, module.__dict__)
    encoder = encoders.build("my_resnet", "random")
    assert encoder.mean.flatten().tolist() == [0.5] * 3
    assert [feature.shape[-1] for feature in encoder.eval()(torch.rand(1, 3, 64, 64))] == [16, 8, 4, 2]
