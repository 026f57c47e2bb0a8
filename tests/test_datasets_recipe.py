"""The documentation's way to add a data set is run as it stands there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqa import datasets
from iqa.datasets import DataError

PAGE = Path(__file__).parent.parent / "docs" / "data.md"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    lines = PAGE.read_text("utf-8").splitlines()
    start = lines.index("    from pathlib import Path")
    end = next(i for i in range(start, len(lines)) if lines[i].startswith("    SET = "))
    names: dict = {}
    exec("\n".join(line[4:] for line in lines[start : end + 1]), names)
    monkeypatch.setitem(datasets.PUBLISHED, "mine", names["SET"])
    (tmp_path / "mine" / "photos").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(np.full((8, 8, 3), 60 * i, np.uint8)).save(tmp_path / "mine" / "photos" / f"{i}.png")
    (tmp_path / "mine" / "ratings.csv").write_text("file,mos\n0.png,1\n1.png,3\n2.png,5\n")
    return tmp_path


def test_the_recipe_makes_a_set(root):
    manifest = datasets.load("mine", str(root))
    assert list(manifest.table["score"]) == [0, 0.5, 1] and manifest.score_range == (1, 5)


def test_and_has_what_every_set_has(root):
    (root / "mine" / "ratings.csv").write_text("file,mos\n0.png,1\n1.png,9\n")
    with pytest.raises(DataError, match="line 3: the mos of '1.png' is 9, outside 1…5"):
        datasets.load("mine", str(root))
    assert len(datasets.listing("mine", str(root), seen=False).entries) == 1


def test_the_page_names_every_published_set_and_protocol():
    from iqa.datasets import koniq, splits

    text = PAGE.read_text("utf-8")
    assert all(f"| `{name}` " in text and f"{one.count:,}" in text for name, one in datasets.PUBLISHED.items())
    assert all(f"`{name}`" in text for name in (*splits.drawn_protocols(), "koniq-official", "koniq-8058"))
    assert koniq.SET.annotations[0] in text
