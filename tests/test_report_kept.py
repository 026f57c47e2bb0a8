"""Pictures that were drawn before: found again by all that decides them, and by nothing less."""

import os
from pathlib import Path

import numpy as np
import pytest

from iqa.report import kept


@pytest.fixture
def drawing(tmp_path, monkeypatch):
    """A drawing and the arguments that it was really called with."""
    monkeypatch.setattr(kept, "folder", lambda: tmp_path / "pictures")
    calls = []

    @kept.kept
    def draw(*given, **named):
        calls.append((given, named))
        return repr((given, named)).encode()

    draw.calls = calls
    return draw


def test_the_same_arguments_are_drawn_once_and_give_the_same_bytes(drawing):
    one, two = (drawing(np.arange(3.0), {"a": [(1, 0.5)]}, title="x") for _ in range(2))
    assert one == two and len(drawing.calls) == 1


VALUES = np.array([0.0, 1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "other",
    [
        ((VALUES + 1e-12, {"a": 1, "b": 2}), {"title": "x"}),
        ((VALUES.astype(np.float32), {"a": 1, "b": 2}), {"title": "x"}),
        ((VALUES.reshape(2, 2), {"a": 1, "b": 2}), {"title": "x"}),
        ((VALUES, {"b": 2, "a": 1}), {"title": "x"}),
        ((VALUES, {"a": 1, "b": "2"}), {"title": "x"}),
        ((VALUES, {"a": 1, "b": 2}), {"title": "y"}),
        ((VALUES, {"a": 1, "b": 2}, "x"), {}),
        ((VALUES, ["a", 1, "b", 2]), {"title": "x"}),
    ],
)
def test_whatever_may_show_in_a_picture_has_it_drawn_anew(drawing, other):
    given, named = other
    drawing(VALUES, {"a": 1, "b": 2}, title="x")
    drawing(*given, **named)
    assert len(drawing.calls) == 2


def test_other_code_or_another_library_draws_anew(drawing, monkeypatch):
    drawing(1)
    for change in ({"CODE": ("plots",)}, {"version": lambda name: "0"}):
        for name, value in change.items():
            monkeypatch.setattr(kept, name, value)
        kept._makers.cache_clear()
        drawing(1)
    monkeypatch.undo()
    kept._makers.cache_clear()
    assert len(drawing.calls) == 3


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:-1] + b"?", lambda _: b""])
def test_a_damaged_picture_is_drawn_again(drawing, damage):
    whole = drawing("title")
    (file,) = kept.folder().iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert drawing("title") == whole == drawing("title") and len(drawing.calls) == 2


def test_where_nothing_can_be_kept_it_is_drawn_each_time(drawing):
    kept.folder().write_text("a file where the folder should be")
    assert drawing(1) == drawing(1) and len(drawing.calls) == 2


def test_a_picture_that_nobody_asked_for_in_a_long_time_is_forgotten_and_one_in_use_is_not(drawing):
    drawing("old"), drawing("used")
    kept._forget.cache_clear()
    for file in kept.folder().iterdir():
        os.utime(file, (0, 0))
    drawing("used"), drawing("new")
    assert len(list(kept.folder().iterdir())) == 2


def test_every_module_that_draws_decides_what_is_kept():
    sources = Path(kept.__file__).parent.glob("*.py")
    assert {file.stem for file in sources if "@kept\n" in file.read_text("utf-8")} <= set(kept.CODE)
