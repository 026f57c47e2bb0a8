"""The figures of what the platform costs: rows, the page made from them, and what the degradations are held against."""

from importlib import import_module

import numpy as np
import pytest
import torch

from benchmarks.data_cache import smooth
from benchmarks.performance import document, rows, singly
from benchmarks.performance.rows import Row
from benchmarks.timing import ratio, turns
from iqa import degradations, images
from iqa.degradations import FAMILIES
from iqa.randomness import generator

DRAWN = {"motion_blur", "color_shift", "jitter", "non_eccentricity", "color_blocks"}  # by other numbers than ours
NEAR = 0.02  # mean difference to our own view: rounding to 8 bits, and borders that are padded in another way


@pytest.mark.parametrize(
    ("value", "reach", "ok"),
    [(0.95, "≥ 0.95", True), (0.949, "≥ 0.95", False), (2.0, "≤ 2 ms", True), (2.1, "≤ 2 ms", False)],
)
def test_a_row_says_whether_its_figure_is_reached(value, reach, ok):
    assert Row("measure", value, reach).ok is ok


def test_a_figure_that_is_no_number_is_missed():
    assert not Row("measure", float("nan"), "≥ 0.95").ok
    assert not Row("measure", float("nan"), "≤ 2 ms").ok


def test_a_reach_that_nobody_can_read_is_refused():
    with pytest.raises(ValueError, match="is written '≥ 0.95' or '≤ 2 ms', not 'fast'"):
        Row("measure", 1.0, "fast")


def test_a_missed_figure_stands_in_the_page_as_missed(tmp_path):
    found = [Row("speed", 0.5, "≥ 0.95", "from here"), Row("time", 1.25, "≤ 2 ms")]
    rows.save("losses", found, 0.25, tmp_path)
    assert [row["ok"] for row in rows.load("losses", tmp_path)] == [False, True]
    page = document.tables(tmp_path)
    assert "1 of 2 figures are reached." in page and "other processes took 25% of the processor" in page
    assert "| speed | 0.5 | ≥ 0.95 | **missed** | from here |" in page
    assert "| time | 1.25 ms | ≤ 2 ms |  |  |" in page


def test_the_page_is_what_the_rows_give():
    page = document.FILE.read_text(encoding="utf-8")
    assert f"{document.BEGIN}\n{document.tables()}{document.END}" in page


def test_every_measure_is_a_module_that_yields_rows():
    for name in document.MEASURES:
        module = import_module(f"benchmarks.performance.{name}")
        assert callable(module.measured) and module.__doc__


def test_turns_leave_the_first_call_out_and_change_their_order():
    called: list[str] = []
    seconds = turns({name: lambda name=name: called.append(name) for name in "ab"}, 2)
    assert called == ["a", "b", "b", "a", "a", "b"]
    assert {name: len(found) for name, found in seconds.items()} == {"a": 2, "b": 2}
    assert ratio({"a": [2.0, 9.0, 4.0], "b": [1.0, 1.0, 2.0]}, "a", "b") == 2.0


def test_every_family_has_something_to_be_held_against():
    assert set(singly.FAMILIES) == set(FAMILIES)


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")  # scikit-image, of colours outside sRGB
@pytest.mark.parametrize("family", singly.FAMILIES)
def test_what_a_family_is_held_against_does_the_same(family):
    pixels, severity = smooth(0, 128, 128), degradations.severities(family, 5)[1]
    theirs = singly.tensor_of(
        singly.FAMILIES[family][1](
            np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()), severity, np.random.default_rng(0)
        )
    )
    ours = degradations.degrade(images.unit(pixels)[None], family, [severity], [generator("held against")])[0, 0]
    assert theirs.shape == ours.shape and theirs.dtype == torch.float32
    if family not in DRAWN and FAMILIES[family].group != "noise":
        assert (theirs - ours).abs().mean() < NEAR
