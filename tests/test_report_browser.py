"""The report in a real browser: nothing on the console, nothing fetched, every figure with words in its place.

`make processes` runs it, where Chromium is installed.
"""

import re

import pytest
from browser import opened, wanted
from report_toy import make

pytestmark = [pytest.mark.processes, wanted]


@pytest.fixture
def page(tmp_path):
    (tmp_path / "runs").mkdir()
    make(tmp_path / "runs").build(tmp_path / "report")
    return tmp_path / "report" / "report.html"


def test_the_page_opens_without_a_word_on_the_console_and_asks_for_nothing(page, tmp_path):
    dom, console, asked = opened(page.as_uri(), tmp_path / "open")
    assert "<h1>" in dom and console == []
    assert {one for one in asked if not one.startswith(("file:", "data:"))} == set()


def test_the_probe_of_console_and_network_notices_a_page_that_misbehaves(page, tmp_path):
    bad = page.with_name("bad.html")
    bad.write_text('<script>console.error("x")</script><img src="http://127.0.0.1:9/x.png" alt="">')
    _, console, asked = opened(bad.as_uri(), tmp_path / "bad")
    assert console and any(address.startswith("http://127.0.0.1:9") for address in asked)


def test_every_picture_has_a_text_in_its_place(page, tmp_path):
    dom, _, _ = opened(page.as_uri(), tmp_path / "open")
    pictures = re.findall(r"<img [^>]*>", dom)
    assert pictures and all(re.search(r'alt="[^"]{10,}"', one) for one in pictures)
