"""What is guessed from a csv, and what is said about its faults."""

import pytest

from iqa.datasets import sheet
from iqa.datasets.manifest import DataError


def written(folder, text: str | bytes):
    path = folder / "scores.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder, text: str | bytes) -> sheet.Sheet:
    return sheet.read(written(folder, text))


@pytest.mark.parametrize(
    "header", ["image,mos", "image_name,MOS", "Filename,Quality", "name,score", "img path,Mean Opinion Score"]
)
def test_usual_headers_are_known_and_said(tmp_path, header):
    found = read(tmp_path, f"{header}\na.png,3.5\n")
    assert [(row.line, row.image, row.opinion) for row in found.rows] == [(2, "a.png", 3.5)]
    first, second = header.split(",")
    assert found.notes == [f"columns of scores.csv: image = {first!r}, score = {second!r}"]


def test_the_order_of_columns_does_not_matter_and_others_are_ignored(tmp_path):
    found = read(tmp_path, "std,mos,prompt,image\n1.0,3.5,x,a.png\n")
    assert (found.rows[0].image, found.rows[0].opinion) == ("a.png", 3.5)


def test_a_column_of_image_names_is_known_without_a_usual_header(tmp_path):
    found = read(tmp_path, "who,what,mos\nme,a.PNG,1\nyou,b.jpeg,2\n")
    assert [row.image for row in found.rows] == ["a.PNG", "b.jpeg"]


def test_split_and_group_columns_are_taken(tmp_path):
    found = read(tmp_path, "image,mos,set,scene\na.png,1,training,x\nb.png,2,Val,x\nc.png,3,test,y\n")
    assert [(row.part, row.group) for row in found.rows] == [("train", "x"), ("validation", "x"), ("test", "y")]


def test_a_set_column_that_names_no_parts_is_not_a_split(tmp_path):
    found = read(tmp_path, "image,mos,set\na.png,1,blue\nb.png,2,red\n")
    assert not found.faults and [row.part for row in found.rows] == ["", ""]
    assert read(tmp_path, "image,mos,split\na.png,1,blue\n").faults == [
        "line 2: the split 'blue' is none of train, validation, test"
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfimage,mos\na.png,2\nb.png,3\n",
        b"image,mos\r\na.png,2\r\nb.png,3\r\n",
        b"\n\nimage,mos\n\na.png,2\n,\nb.png,3\n\n",
        b"image;mos\na.png;2\nb.png;3\n",
        b"image\tmos\na.png\t2\nb.png\t3\n",
        b'"image","mos"\n"a.png","2"\n"b.png","3"\n',
    ],
    ids=["bom", "crlf", "blank lines", "semicolons", "tabs", "quotes"],
)
def test_every_usual_way_to_write_a_csv_reads_the_same(tmp_path, text):
    found = read(tmp_path, text)
    assert not found.faults
    assert [(row.image, row.opinion) for row in found.rows] == [("a.png", 2.0), ("b.png", 3.0)]
    assert found.notes[-1] == "columns of scores.csv: image = 'image', score = 'mos'"


def test_a_quoted_comma_belongs_to_the_name(tmp_path):
    assert read(tmp_path, 'image,mos\n"a, b.png",2\n').rows[0].image == "a, b.png"


def test_latin_1_is_read_and_said(tmp_path):
    found = read(tmp_path, "image,mos\ncafé.png,2\n".encode("latin-1"))
    assert found.rows[0].image == "café.png"
    assert "scores.csv is not UTF-8: read as Latin-1" in found.notes


def test_all_faults_are_collected_with_their_lines(tmp_path):
    found = read(
        tmp_path, 'image,mos\na.png,\nb.png,nan\nc.png,inf\nd.png,good\ne.png,"3,5"\n,4\nf.png,1,2\n\ng.png,1\n'
    )
    assert [row.image for row in found.rows] == ["g.png"]
    assert found.faults == [
        "line 2: the score of 'a.png' is missing: give a number, or remove the line",
        "line 3: the score of 'b.png' is 'nan': give a finite number",
        "line 4: the score of 'c.png' is 'inf': give a finite number",
        "line 5: the score of 'd.png' is 'good': give a number",
        "line 6: the score of 'e.png' is '3,5': write a decimal point",
        "line 7: no image is named",
        "line 8: 3 fields where the header has 2",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no rows"),
        ("image,mos\n", "holds no rows"),
        ("image,dmos\na.png,2\n", "no column known as score.*DMOS may mean that lower is better.*rename it to 'score'"),
        ("thing,mos\nx,2\n", "no column known as image among.*'thing'.*rename it to 'image'"),
        ("image,mos,MOS\na.png,2,3\n", "more than one column 'MOS' and 'mos'"),
        ('image,mos\n"a.png,2\n', "cannot be read beyond line"),
    ],
)
def test_a_csv_that_cannot_be_understood_is_refused_with_a_remedy(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("opinions", "scale"),
    [
        ([0.2, 0.9], (0, 1)),
        ([1.2, 4.9], (1, 5)),
        ([0.01, 4.49], (0, 5)),
        ([2.0, 8.5], (1, 10)),
        ([0.5, 9.0], (0, 10)),
        ([3.9, 88.4], (0, 100)),
        ([-3.0, 2.0], (-3, 2)),
        ([10.0, 250.0], (10, 250)),
    ],
)
def test_the_narrowest_usual_scale_is_guessed(opinions, scale):
    assert sheet.nominal_range(opinions) == scale
