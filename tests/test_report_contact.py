"""The contact sheet: one file, nothing fetched, nothing executed, whatever the pictures are called."""

import re

from iqa.album import Picture
from iqa.report import contact

ABOUT = (("model", "the champion"), ("scores", "predictions of opinion scores"))
NASTY = 'holiday/"><script>alert(1)</script>.jpg'


def sheet(pictures, left_out=0, skipped=(), span=100.0):
    return contact.render(pictures, left_out, skipped, ABOUT, span)


def test_pictures_stand_in_their_order_with_opinion_thumbnail_and_name():
    page = sheet([Picture("a/one.jpg", 0.9, 90.04, b"\xff\xd8one"), Picture("two.jpg", -0.1, -10.0, b"\xff\xd8two")])
    assert re.findall(r'<div class="name">(.*?)</div>', page) == ["one.jpg", "two.jpg"]
    assert re.findall(r"<b>(.*?)</b>", page) == ["90.0", "-10.0"] and re.findall(r"width:(\d+)%", page) == ["90", "0"]
    assert "data:image/jpeg;base64,/9hvbmU=" in page and "2 pictures by" in page
    assert "<dt>model</dt><dd>the champion</dd>" in page and "skipped</h2>" not in page


def test_the_page_asks_for_nothing_and_runs_nothing():
    page = sheet([Picture(NASTY, 0.5, 50.0, b"")], skipped=[f"{NASTY!r} is damaged"])
    assert "default-src 'none'" in page and "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_what_lies_between_the_two_ends_is_told():
    page = sheet([Picture(str(n), 1 - n / 4, 0.0, b"") for n in range(4)], left_out=1996)
    assert page.count("<ol>") == 2 and "1,996 pictures between these" in page and "2,000 pictures by" in page


def test_skipped_files_are_listed_with_their_reasons():
    page = sheet([Picture("a", 0.5, 0.5, b"")], skipped=["'b.jpg' is damaged", "'c' holds no pictures"])
    assert "<h2>2 skipped</h2>" in page and "b.jpg&#39; is damaged" in page and "1 picture by" in page


def test_digits_go_with_the_scale():
    one = [Picture("a", 0.51237, 2.0495, b"")]
    shown = [re.findall(r"<b>(.*?)</b>", sheet(one, span=span)) for span in (100, 4, 1)]
    assert shown == [["2.0"], ["2.05"], ["2.050"]]
