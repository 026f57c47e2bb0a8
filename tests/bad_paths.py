"""Names that lead elsewhere, mean nothing, or are merely odd; nothing outside the folder is ever read."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

from bad_input import READ, REFUSED, VERIFY, Case, table
from published_trees import build

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))


def row(name: str) -> Callable[[Path], None]:
    """A line with this name, and a picture outside that it might mean."""

    def make(folder: Path) -> None:
        (folder.parent / "x.png").write_bytes((folder / "p0.png").read_bytes())
        table(folder, [f'"{name}",30'])

    return make


def file(name: str, told: str | None = None) -> Callable[[Path], None]:
    """A picture of that name, and a line for it."""

    def make(folder: Path) -> None:
        os.replace(folder / "p7.png", folder / name)
        lines = (folder / "scores.csv").read_text().splitlines()[:-1]
        quoted = (told or name).replace('"', '""')
        (folder / "scores.csv").write_text("\n".join([*lines, f'"{quoted}",80']) + "\n")

    return make


def linked(name: str, target: str) -> Callable[[Path], None]:
    """A symbolic link, and a line for it."""

    def make(folder: Path) -> None:
        row(name)(folder)
        (folder / name.split("/")[0]).symlink_to(target)

    return make


def published(name: str, part: str, kind: str) -> Callable[[Path], None]:
    """A published set of which a file or a folder lies elsewhere, or is a pipe."""

    def make(folder: Path) -> None:
        build(name, folder)
        path = next(folder.rglob(part))
        path.rename(folder.parent / "x.csv")
        if kind == "link":
            path.symlink_to(folder.parent / "x.csv")
        else:
            os.mkfifo(path)

    return make


def _published(what: str, name: str, part: str, says: str, kind: str = "link") -> Case:
    words = ("data", "verify", f"--data={name}", "--data_root=DATA", "--count=12")
    return Case("Paths", what, published(name, part, kind), REFUSED, says, words)


def fifo(folder: Path) -> None:
    """A pipe that nobody writes to: opening it would hang."""
    os.mkfifo(folder / "pipe.png")
    table(folder, ["pipe.png,30"])


def directory(folder: Path) -> None:
    """A folder with the name of an image."""
    (folder / "folder.jpg").mkdir()
    table(folder, ["folder.jpg,30"])


def scores(target: str) -> Callable[[Path], None]:
    """The csv as a link, with the scores inside and outside of the folder, or as a folder."""

    def make(folder: Path) -> None:
        os.replace(folder / "scores.csv", folder / "scores.txt")
        (folder.parent / "x.csv").write_bytes((folder / "scores.txt").read_bytes())
        (folder / "scores.csv").symlink_to(target) if target else (folder / "scores.csv").mkdir()

    return make


def twins(folder: Path) -> None:
    """Two files whose names look the same."""
    for old, new in (("p6.png", COMPOSED), ("p7.png", DECOMPOSED)):
        os.replace(folder / old, folder / new)
        text = (folder / "scores.csv").read_text("utf-8")
        (folder / "scores.csv").write_text(text.replace(old, new), "utf-8")


def not_utf8(folder: Path) -> None:
    """A file whose name is Latin-1."""
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes((folder / "p0.png").read_bytes())


def nothing(folder: Path) -> None:
    """A folder without an image."""
    for path in folder.glob("*.png"):
        path.unlink()


def _case(what: str, make: Callable[[Path], object], code: int, says: str, *words: str) -> Case:
    return Case("Paths", what, make, code, says, words or VERIFY)


OUT = "leads out of the folder: give a path inside it"
CASES = [
    _case("`../x.png`", row("../x.png"), REFUSED, f"'../x.png' {OUT}"),
    _case("`a/../../x.png`", row("a/../../x.png"), REFUSED, OUT),
    _case("`..\\x.png`", row("..\\x.png"), REFUSED, OUT),
    _case("`/etc/passwd`", row("/etc/passwd"), REFUSED, f"'/etc/passwd' {OUT}"),
    _case("NUL in a name", row("p0.png\0.jpg"), REFUSED, OUT),
    _case("a link that leads out", linked("link.png", "../x.png"), REFUSED, "is a link that leads out of the folder"),
    _case("a linked folder that leads out", linked("up/x.png", ".."), REFUSED, "is a link that leads out of the"),
    _case("a link to itself", linked("loop.png", "loop.png"), REFUSED, "'loop.png' is a link to nothing"),
    _case("a csv that is a link out of the folder", scores("../x.csv"), REFUSED, "scores.csv is a link that leads out"),
    _case("a csv that is a link to nothing", scores("nothing.csv"), REFUSED, "scores.csv is a link to nothing"),
    _case("a csv that is a link to a file beside it", scores("scores.txt"), READ, ""),
    _case("a folder named scores.csv", scores(""), REFUSED, "scores.csv is not a file: put the csv"),
    _case("a loop of linked folders", lambda folder: (folder / "loop").symlink_to("."), READ, ""),
    _case("a pipe", fifo, REFUSED, "'pipe.png' is not a file"),
    _case("a folder named folder.jpg", directory, REFUSED, "'folder.jpg' is not a file"),
    _case("another suffix", row("scores.csv"), REFUSED, "'scores.csv' has none of the suffixes"),
    _case("a file name that is not UTF-8", not_utf8, READ, "1 images have names that are not UTF-8: left out"),
    _case("a name composed in the csv, decomposed on disk", file(DECOMPOSED, COMPOSED), READ, "regardless of case"),
    _case("two names that differ in their Unicode form alone", twins, READ, ""),
    _case("255 bytes", file("x" * 251 + ".png"), READ, ""),
    _case("300 bytes", row("x" * 296 + ".png"), REFUSED, "is not in"),
    _case("spaces", file("a b  c.png"), READ, ""),
    _case("a line break in a name", file("a\nb.png"), READ, ""),
    _case("`$(touch pwned).png`", file("$(touch pwned).png"), READ, ""),
    _case("quotes", file("it's \"it\".png"), READ, ""),
    _case("`--lr=9.png`", file("--lr=9.png"), READ, ""),
    _case("another letter case", file("P7.PNG", "p7.png"), READ, "1 names were found in subfolders"),
    _case("a name without its suffix", file("last.png", "last"), READ, "1 names were found"),
    _case("no image in the folder", nothing, REFUSED, "holds no images"),
    _case("no such folder", lambda folder: None, REFUSED, "there is no folder",
          "data", "verify", "--data=DATA/nowhere"),
    _case("a file instead of a folder", lambda folder: None, REFUSED, "scores.csv is a file: give the folder",
          "data", "verify", "--data=DATA/scores.csv"),
    _case("a published set that is not there", lambda folder: None, REFUSED, "there is no KonIQ-10k in",
          "finetune", "--preset=smoke", "--data=koniq", "--data_root=DATA"),
    _published("a published set's csv that is a link out of its folder", "koniq", "koniq10k_distributions_sets.csv",
               "koniq10k_distributions_sets.csv is a link that leads out of the folder"),
    _published("a published set's pictures that lie elsewhere", "koniq", "1024x768", "nothing else is read"),
    _published("a published workbook that is a link out of the folder", "spaq", "*.xlsx", "is a link that leads out"),
    _published("a second file of scores that is a link out of the folder", "clive", "AllMOS_release.mat",
               "AllMOS_release.mat is a link that leads out of the folder"),
    _published("a second file of scores that is a pipe", "clive", "AllMOS_release.mat",
               "AllMOS_release.mat is not a file", "pipe"),
]  # fmt: skip
