"""Bad input, case by case: what is made, by which command it is met, how that ends and what it says.

python -m tests.bad_input        # writes the table docs/bad-input.md; a test compares the two
"""

import contextlib
import io
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "bad-input.md"
VERIFY = ("data", "verify", "--data=DATA")
READ, REFUSED = 0, 2
COUNTS = re.compile(r"[\d,]+ scores from|split \S+: |a constant, |nothing is wrong|\d+ faults?$")  # change with a row


@dataclass(frozen=True)
class Case:
    """One thing that is put beside eight good pictures. words: the command; DATA stands for the folder."""

    kind: str
    what: str
    make: Callable[[Path], object]
    code: int  # READ or REFUSED
    says: str  # part of what is told about it; "" = it is read without a word
    words: tuple[str, ...] = VERIFY


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said beside what it says of good input."""

    code: int
    said: str


def good(folder: Path) -> None:
    """Eight pictures of 24 × 16, p0.png to p7.png, and scores.csv."""
    folder.mkdir()
    for i in range(8):
        Image.fromarray(shade(i)).save(folder / f"p{i}.png")
    table(folder, [])


def shade(seed: int, height: int = 16, width: int = 24) -> np.ndarray:
    """(H, W, 3) uint8, another for each seed."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 9 % 256, columns * 7 % 256, (rows + columns + 31 * seed) % 256], -1).astype(np.uint8)


def table(folder: Path, lines: list[str], header: str = "image,mos") -> None:
    """scores.csv with the eight good rows and more lines."""
    extra = "," * (header.count(",") - 1)
    rows = [f"p{i}.png,{10 * (i + 1)}{extra}" for i in range(8)]
    (folder / "scores.csv").write_text("\n".join([header, *rows, *lines]) + "\n", encoding="utf-8")


def tried(case: Case, place: Path) -> Outcome:
    """Make the case in an empty folder and run its command in this process."""
    good(place / "DATA")
    before = _run(VERIFY, place)[1] if case.words == VERIFY else []
    case.make(place / "DATA")
    code, lines = _run(case.words, place)
    if code == REFUSED:
        told = [line for line in lines if line.startswith("fault: ")] or lines
    else:
        told = [line for line in lines if line not in before and not COUNTS.match(line)]
    return Outcome(code, " ⏎ ".join(line.removeprefix("fault: ").removeprefix("error: ").strip() for line in told))


def _run(words: tuple[str, ...], place: Path) -> tuple[int, list[str]]:
    """The exit code and every line that is printed, with DATA in the place of the folder."""
    printed = io.StringIO()
    name, *rest = (word.replace("DATA", str(place / "DATA")) for word in words)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = import_module(f"entrypoints.{name}").main(rest)
    return code, printed.getvalue().replace(str(place), "…").splitlines()


def cases() -> list[Case]:
    """All of them, by kind."""
    modules = (import_module(name) for name in ("bad_images", "bad_tables", "bad_paths", "bad_parameters"))
    return [case for module in modules for case in module.CASES]


def page(outcomes: list[tuple[Case, Outcome]]) -> str:
    """The documentation's table."""
    lines = [
        "# Bad input, and what is said about it",
        "",
        f"{len(outcomes)} cases, each made and met by its command: written by `python -m tests.bad_input` and",
        "compared by a test. `DATA` is a folder of eight good pictures beside which the case is put.",
        "",
        "Exit code 2: refused. `iqa data verify` tells every fault at once; a stage refuses as well, before its first",
        "step, or with `data.on_bad=skip` leaves out what is named here, counts and lists it. (One file under two",
        "names is a fault to `verify` alone: a stage keeps both in one part.) Exit code 0: read by rule, with the line",
        "that is printed; other kinds of pixels are brought to 8-bit RGB, on white, without a word.",
    ]
    kind = ""
    for case, outcome in outcomes:
        if case.kind != kind:
            kind = case.kind
            lines += ["", f"## {kind}", "", "| case | command | exit code | what it says |", "|---|---|---|---|"]
        command = f"`iqa {' '.join(case.words)}`" if case.words != VERIFY else "`iqa data verify`"
        said = re.sub(r"is damaged \(.*\):", "is damaged (and how):", outcome.said)  # a decoder's own words
        cells = (case.what, command, str(outcome.code), re.sub("x{40,}", "xxx…xxx", said) or "nothing")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Try every case in folders of their own, and write the page."""
    sys.path.insert(0, str(ROOT / "tests"))
    warnings.simplefilter("ignore", UserWarning)  # Pillow's remarks on damaged metadata
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases()):
            place = Path(folder, str(number))
            place.mkdir()
            os.environ["IQA_CACHE"] = str(place / "cache")
            found.append((case, tried(case, place)))
    PAGE.write_text(page(found), encoding="utf-8")
    print(f"{PAGE}: {len(found)} cases")


if __name__ == "__main__":
    main()
