"""Chromium without a window, as the tests of pages drive it."""

import re
import shutil
import subprocess

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--enable-logging=stderr"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
wanted = pytest.mark.skipif(not BROWSER, reason="no Chromium here (Debian and Ubuntu: apt install chromium)")


def opened(address, folder, *more, width=1280):
    """The page's DOM, its console lines, and every address that the page asked for. more: switches.

    Chromium asks for things of its own (clock, updates, dictionaries); what a page asks for is kept apart under the
    page's own site, here file://.
    """
    folder.mkdir()
    where = (f"--user-data-dir={folder}", f"--log-net-log={folder}/net.json", f"--window-size={width},900")
    command = [BROWSER, *SWITCHES, *where, *more, "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    theirs = [
        line for line in (folder / "net.json").read_text().splitlines() if '"network_isolation_key":"file:' in line
    ]
    return done.stdout, console, {url for line in theirs for url in re.findall(r'"url":"([^"]*)"', line)}
