"""KADID-10k's tree in miniature."""

import numpy as np
import pytest
from PIL import Image

from iqa import datasets, degradations
from iqa.datasets import DataError, kadid


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    pictures = tmp_path / "data" / "kadid10k" / "images"
    pictures.mkdir(parents=True)
    lines = ["dist_img,ref_img,dmos,var"]
    for reference in range(1, 6):
        shade(pictures / f"I{reference:02d}.png", reference)
        for kind in (1, 10, 25):
            for level in (1, 5):
                name = f"I{reference:02d}_{kind:02d}_{level:02d}.png"
                shade(pictures / name, reference * 40 + kind + level)
                lines.append(f"{name},I{reference:02d}.png,{4.93 - 0.9 * (level - 1):.2f},0.5")
    (pictures.parent / "dmos.csv").write_text("\r\n".join(lines))
    return tmp_path / "data"


def shade(path, value):
    Image.fromarray(np.full((8, 8, 3), value % 256, np.uint8)).save(path)


def load(root, **options):
    return datasets.load("kadid", root=str(root), **options)


def test_the_name_tells_reference_family_and_level(root):
    table = load(root).table.set_index("path")
    row = table.loc["I03_10_05.png"]
    assert (row["group"], row["family"], row["level"], row["opinion"]) == ("I03.png", "jpeg", 4, 1.33)
    assert len(table) == 30 and "I03.png" not in table.index


def test_higher_is_better_on_one_to_five(root):
    manifest = load(root)
    assert manifest.score_range == (1.0, 5.0)
    mild, severe = (manifest.table[manifest.table["level"] == level]["score"].mean() for level in (0, 4))
    assert mild == pytest.approx(0.9825) and severe == pytest.approx(0.0825)


def test_no_reference_stands_in_two_parts(root):
    manifest = load(root)
    assert manifest.protocol == "by-reference"
    assert (manifest.table.groupby("group")["split"].nunique() == 1).all()
    assert [len(manifest.part(part)) for part in ("train", "validation", "test")] == [18, 6, 6]


def test_the_25_families_are_ours_but_for_those_that_we_do_not_have():
    assert len(kadid.FAMILIES) == len(set(kadid.FAMILIES)) == 25
    assert set(kadid.FAMILIES) - set(degradations.FAMILIES) == set(kadid.OTHERS)
    ours = {name for _, some in kadid.OTHERS.values() for name in some}
    assert ours <= set(degradations.FAMILIES) and not ours & set(kadid.FAMILIES)


def test_a_name_that_tells_nothing_and_a_wrong_reference_are_faults(root):
    file = root / "kadid10k" / "dmos.csv"
    file.write_text("dist_img,ref_img,dmos,var\nI01.png,I01.png,3,1\nI01_10_01.png,I02.png,3,1\n")
    with pytest.raises(DataError, match="(?s)'I01.png' is not named as I01_10_05.png.*said to come from 'I02.png'"):
        load(root)


def test_a_name_in_other_digits_is_none(root):
    (root / "kadid10k" / "images" / "I01_01_01.png").rename(root / "kadid10k" / "images" / "I01_٠١_01.png")
    file = root / "kadid10k" / "dmos.csv"
    file.write_text(file.read_text("utf-8").replace("I01_01_01", "I01_٠١_01"), "utf-8")
    with pytest.raises(DataError, match="'I01_٠١_01.png' is not named as I01_10_05.png"):
        load(root)
