"""SPAQ's tree in miniature, with a workbook made of the XML that spreadsheets write."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from iqa import datasets
from iqa.datasets import DataError, spaq

SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)
STRINGS = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</sst>'
NAMES = [f"{i:05d}.jpg" for i in range(1, 5)]


def workbook(path, rows):
    """Text as shared strings (the first of two runs), numbers plain, None as a cell that is not there."""
    shared: list[str] = []
    lines = []
    for number, values in enumerate(rows, 1):
        cells = ""
        for column, value in zip("ABCDEFG", values, strict=False):
            if isinstance(value, str):
                shared.append(value)
                cells += f'<c r="{column}{number}" t="s"><v>{len(shared) - 1}</v></c>'
            elif value is not None:
                cells += f'<c r="{column}{number}"><v>{value}</v></c>'
        lines.append(f'<row r="{number}">{cells}</row>')
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", SHEET.format("".join(lines)))
        book.writestr("xl/sharedStrings.xml", STRINGS.format("".join(f"<si><r><t>{t}</t></r></si>" for t in shared)))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IQA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data" / "SPAQ"
    for name in ("testimage", "Annotations"):
        (folder / name).mkdir(parents=True)
    for i, name in enumerate(NAMES):
        Image.fromarray(np.full((8, 8, 3), 20 * i, np.uint8)).save(folder / "testimage" / name)
    rows = [["Image name", "MOS", "Brightness"], *([name, 20.5 + 10 * i, 50] for i, name in enumerate(NAMES))]
    workbook(folder / "Annotations" / "MOS and Image attribute scores.xlsx", rows)
    return tmp_path / "data"


def file_of(root):
    return root / "SPAQ" / "Annotations" / "MOS and Image attribute scores.xlsx"


def test_the_workbook_gives_names_and_scores_on_a_hundred(root):
    manifest = datasets.load("spaq", root=str(root))
    assert dict(zip(manifest.table["path"], manifest.table["opinion"], strict=True)) == {
        name: 20.5 + 10 * i for i, name in enumerate(NAMES)
    }
    assert manifest.score_range == (0.0, 100.0) and manifest.root.name == "testimage"


def test_a_cell_that_is_not_there_keeps_its_column(tmp_path):
    workbook(tmp_path / "a.xlsx", [["Image name", None, "MOS"], [None, 7, 3.5], ["a.jpg"]])
    header, lines = spaq.cells(tmp_path / "a.xlsx")
    assert header == ["Image name", "", "MOS"]
    assert lines == [(2, ["", "7", "3.5"]), (3, ["a.jpg", "", ""])]


def test_a_missing_score_is_a_fault_with_its_row(root):
    workbook(file_of(root), [["Image name", "MOS"], [NAMES[0], None], *([name, 1.0] for name in NAMES[1:])])
    with pytest.raises(DataError, match="line 2: the MOS of '00001.jpg' is missing"):
        datasets.load("spaq", root=str(root))


def test_what_is_no_workbook_is_refused(root):
    for body in (b"", b"<html>", zip_of("other.xml", "x"), zip_of("xl/worksheets/sheet1.xml", "<a")):
        file_of(root).write_bytes(body)
        with pytest.raises(DataError, match="cannot be read as the published workbook"):
            datasets.load("spaq", root=str(root))


def zip_of(name, text):
    import io

    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as book:
        book.writestr(name, text)
    return body.getvalue()
