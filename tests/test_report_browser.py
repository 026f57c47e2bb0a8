"""The report in a real browser: nothing on the console, nothing fetched, every figure with words in its place.

`make processes` runs it, where Chromium is installed.
"""

import re
import shutil
import subprocess

import pytest

from tests.report_toy import make

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not BROWSER, reason="no Chromium here (Debian and Ubuntu: apt install chromium)"),
]


def opened(address, folder, width=1280):
    """The page's DOM, its console lines, and every address that the page asked for.

    Chromium asks for things of its own (clock, updates, dictionaries); what a page asks for is kept apart under the
    page's own site, here file://.
    """
    folder.mkdir()
    where = (f"--user-data-dir={folder}", f"--log-net-log={folder}/net.json", f"--window-size={width},900")
    command = [BROWSER, *SWITCHES, *where, "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    theirs = [
        line for line in (folder / "net.json").read_text().splitlines() if '"network_isolation_key":"file:' in line
    ]
    return done.stdout, console, {url for line in theirs for url in re.findall(r'"url":"([^"]*)"', line)}


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
