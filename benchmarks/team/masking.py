"""A report without what two stores cannot share: run ids, dates, addresses, and the numbers that come from `cost/`."""

import base64
import csv
import io
import re
from pathlib import Path

NUMBERS = "numbers.csv"
COST_TABLE = "cost"  # tables/cost.csv and .tex: nothing but costs
COSTS = re.compile(r"\bcost/|\bhours\b")  # in what a number says of its origin
DATE = re.compile(r"\b20\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
ADDRESS = re.compile(r"https?://[\w.:-]+/#/experiments/\d+/")
REFERENCE = re.compile(r"^\[[^\]]+\]: .*\n?", re.MULTILINE)  # Markdown sorts these lines by run ids
INNER = re.compile(r"data:text/(csv|plain)(?:;charset=[\w-]+)?;base64,([\w+/=]+)")  # files within the HTML
TEXTS = (".md", ".html", ".csv", ".tex", ".json")


def masked(folder: Path) -> dict[str, bytes]:
    """Every file of a report, by its path below the folder."""
    rows = list(csv.DictReader(io.StringIO((folder / NUMBERS).read_text(encoding="utf-8"))))
    runs = sorted({run for row in rows for run in row["runs"].split()})
    costs = {row[column] for row in rows if COSTS.search(row["what"]) for column in ("value", "shown")}
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.stem != COST_TABLE)
    return {str(file.relative_to(folder)): _content(file, runs, costs) for file in files}


def differences(one: Path, other: Path) -> list[str]:
    """A sentence for each file that two reports do not share, with the first line in which it differs."""
    left, right = masked(one), masked(other)
    told = [f"{name} is in one of them alone" for name in sorted(left.keys() ^ right.keys())]
    for name in sorted(left.keys() & right.keys()):
        if left[name] != right[name]:
            lines = zip(left[name].splitlines(), right[name].splitlines(), strict=False)
            first = next(((a, b) for a, b in lines if a != b), (b"", b"more lines in one of them"))
            told.append(f"{name}: {_near(*first)}")
    return told


def _near(one: bytes, other: bytes) -> str:
    """Where two lines begin to differ."""
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return " | ".join(repr(line[max(0, at - 60) : at + 60].decode("utf-8", "replace")) for line in (one, other))


def _content(file: Path, runs: list[str], costs: set[str]) -> bytes:
    if file.suffix not in TEXTS:
        return file.read_bytes()
    return cleaned(file, file.read_text(encoding="utf-8"), runs, costs).encode()


def cleaned(file: Path, text: str, runs: list[str], costs: set[str]) -> str:
    """A text of the report, and the files that are written into it, without what two stores cannot share."""

    def inner(found: re.Match[str]) -> str:
        name, content = Path(f"inner.{found[1]}"), base64.b64decode(found[2]).decode()
        return f"data:text/{found[1]},{cleaned(name, content, runs, costs)}"

    text = ADDRESS.sub("ADDRESS/", DATE.sub("DATE", INNER.sub(inner, text)))
    for run in runs:
        text = text.replace(run, "RUN").replace(run[:8], "RUN")
    if file.suffix == ".md":
        last = sorted(REFERENCE.findall(text))
        text = REFERENCE.sub("", text) + "".join(last)
    return without(file, text, costs)


def without(file: Path, text: str, costs: set[str]) -> str:
    """The text with COST in the place of each number that says it is one."""
    if file.name == NUMBERS:
        return "".join("COST\n" if COSTS.search(line.partition(",")[0]) else line for line in text.splitlines(True))
    if file.suffix == ".html":
        cost = re.compile(r'(title="[^"]*?(?:\bcost/|\bhours\b)[^"]*"[^>]*>).*?</a>', re.DOTALL)
        return cost.sub(r"\1COST</a>", text)
    for word in sorted(costs - {""}, key=len, reverse=True):
        bounds = {".md": (r"\[", r"\]"), ".csv": (r"(?<=,)", r"(?=[,\n])"), ".tex": (r"(?<=[&+] )", r"(?= [&\\+])")}
        if file.suffix in bounds:
            before, after = bounds[file.suffix]
            text = re.sub(f"{before}{re.escape(word)}{after}", "COST", text)
    return text
