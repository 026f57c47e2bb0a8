"""Files of scores that are odd, incomplete or contradict themselves."""

from collections.abc import Callable, Iterable
from pathlib import Path

from bad_input import READ, REFUSED, VERIFY, Case, table
from published_trees import build

ROWS = "".join(f"p{i}.png,{10 * (i + 1)}\n" for i in range(8))


def whole(content: str | bytes) -> Callable[[Path], object]:
    """The csv as these bytes."""
    raw = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / "scores.csv").write_bytes(raw)


def line(*lines: str, header: str = "image,mos") -> Callable[[Path], object]:
    """Lines beside the eight good ones."""
    return lambda folder: table(folder, list(lines), header)


def copied(*lines: str, header: str = "image,mos") -> Callable[[Path], object]:
    """A file with the bytes of p0.png, and the lines that name it."""

    def make(folder: Path) -> None:
        (folder / "same.png").write_bytes((folder / "p0.png").read_bytes())
        table(folder, list(lines), header)

    return make


def split(*last: str) -> Callable[[Path], object]:
    """A column of parts whose last rows are odd."""
    parts = (["train"] * 3 + ["val", "val", "test", "test", "test"])[: 8 - len(last)] + list(last)
    rows = [f"p{i}.png,{10 * (i + 1)},{part}" for i, part in enumerate(parts)]
    return whole("\n".join(["image,mos,split", *rows]))


def equal(same: Iterable[int]) -> Callable[[Path], object]:
    """The column of parts, and one score for these rows."""

    def make(folder: Path) -> None:
        split("test")(folder)
        head, *rows = (folder / "scores.csv").read_text().splitlines()
        cells = [row.split(",") for row in rows]
        rows = [f"{name},{50 if i in same else score},{part}" for i, (name, score, part) in enumerate(cells)]
        whole("\n".join([head, *rows]))(folder)

    return make


def leak(folder: Path) -> None:
    """One content in two parts."""
    split("test")(folder)
    (folder / "p7.png").write_bytes((folder / "p0.png").read_bytes())


def published(name: str, file: str, old: str, new: str) -> Callable[[Path], object]:
    """A published set in miniature with something changed in its csv."""

    def make(folder: Path) -> None:
        build(name, folder)
        path = next(folder.rglob(file))
        text = path.read_bytes().decode()
        assert old in text, (old, text)
        path.write_bytes(text.replace(old, new, 1).encode())

    return make


def csv_alone(folder: Path) -> None:
    """No pictures, and a line that is wrong."""
    for picture in folder.glob("*.png"):
        picture.unlink()
    table(folder, ["gone.png,good"])


def _compared(what: str, lines: list[str], says: str) -> Case:
    def make(folder: Path) -> None:
        whole = ["image,mos,prediction", "a.png,1,1", "b.png,2,2", *lines]
        (folder / "mine.csv").write_text("\n".join(whole), encoding="utf-8")

    words = ("compare", "DATA/mine.csv", "DATA/mine.csv")
    return Case("Files of scores", f"predictions with {what}", make, REFUSED, says, words)


def _case(what: str, make: Callable[[Path], object], code: int, says: str) -> Case:
    return Case("Files of scores", what, make, code, says)


def _published(what: str, name: str, file: str, old: str, new: str, says: str) -> Case:
    words = ("data", "verify", f"--data={name}", "--data_root=DATA", f"--count={29 if name == 'kadid' else 11}")
    return Case("Files of scores", what, published(name, file, old, new), REFUSED, says, words)


CASES = [
    _case("byte order mark", whole("\ufeffimage,mos\n" + ROWS), READ, ""),
    _case("CRLF", whole(("image,mos\n" + ROWS).replace("\n", "\r\n")), READ, ""),
    _case("blank lines", whole("\n\nimage,mos\n\n" + ROWS.replace("\n", "\n\n")), READ, ""),
    _case("quotes", whole('"image","mos"\n' + ROWS.replace("p0.png", '"p0.png"')), READ, ""),
    _case("semicolons", whole(("image,mos\n" + ROWS).replace(",", ";")), READ, "separated by semicolons"),
    _case("tabs", whole(("image,mos\n" + ROWS).replace(",", "\t")), READ, "separated by tabs"),
    _case("UTF-16", whole(("image,mos\n" + ROWS).encode("utf-16")), READ, "scores.csv is UTF-16"),
    _case("Latin-1", whole(("image,mos,who\n" + ROWS.replace("0\n", "0,café\n")).encode("latin-1")), READ,
          "scores.csv is not UTF-8: read as Latin-1"),
    _case("columns renamed as others name them", line(header="File Name,Mean Opinion Score"), READ,
          "columns of scores.csv: image = 'File Name', score = 'Mean Opinion Score'"),
    _case("no file names", whole("thing,mos\nx,2\n"), REFUSED, "no column known as image among"),
    _case("no scores", whole("image,brightness\np0.png,2\n"), REFUSED, "no column known as score among"),
    _case("scores of which the direction is unknown", whole("image,dmos\np0.png,2\n"), REFUSED,
          "a DMOS may mean that lower is better"),
    _case("a column twice", line(header="image,mos,MOS"), REFUSED, "more than one column 'MOS' and 'mos'"),
    _case("an empty file", whole(""), REFUSED, "holds no rows"),
    _case("a header alone", whole("image,mos\n"), REFUSED, "holds no rows"),
    _case("an unclosed quote", whole('image,mos\n"p0.png,2\n'), REFUSED, "cannot be read beyond line"),
    _case("two csv files", lambda folder: (folder / "b.csv").write_text("image,mos\n"), REFUSED, "holds 2 csv files"),
    *[
        _case(f"a score that is {what}", line(f"p0.png,{value}"), REFUSED, f"line 10: the score of 'p0.png' {says}")
        for what, value, says in (
            ("missing", "", "is missing"),
            ("nan", "nan", "is 'nan': give a finite number"),
            ("inf", "inf", "is 'inf': give a finite number"),
            ("-inf", "-inf", "is '-inf': give a finite number"),
            ("text", "good", "is 'good': give a number"),
            ("written with a decimal comma", '"3,5"', "is '3,5': write a decimal point"),
            ("written with an underscore", "1_0", "is '1_0': give a number in the digits 0 to 9"),
            ("written in other digits", "٣٥", "is '٣٥': give a number in the digits 0 to 9"),
            ("written with a typographer's minus", "−3", "is '−3': give a number in the digits 0 to 9"),
        )
    ],
    _case("no file name", line(",30"), REFUSED, "line 10: no image is named"),
    _case("a field too many", line("p0.png,10,7"), REFUSED, "line 10: 3 fields where the header has 2"),
    _case("a field too few", line("p0.png"), REFUSED, "line 10: 1 fields where the header has 2"),
    _case("a score beyond any scale", line("p0.png,1e308"), REFUSED, "the score of 'p0.png' is '1e308': give a"),
    _case("scores that are all the same", equal(range(8)), REFUSED, "all 8 scores are 50: give scores that differ"),
    Case("Files of scores", "the same, for fine-tuning", equal(range(8)), REFUSED, "all 8 scores are 50",
         ("finetune", "--preset=smoke", "--data=DATA", "--crops.size=16")),
    *[
        Case("Files of scores", f"{who} with one score{use}", equal(rows), REFUSED, f"the {part} part has {has}", words)
        for who, rows, part, has in (
            ("a validation part", (3, 4), "validation", "2 pictures, all with the score 50"),
            ("a test part", (5, 6, 7), "test", "3 pictures, all with the score 50"),
            ("a training part", (0, 1, 2), "train", "3 pictures, all with the score 50"),
        )
        for use, words in (
            ("", VERIFY),
            (", for fine-tuning", ("finetune", "--preset=smoke", "--data=DATA", "--crops.size=16")),
        )
    ],
    _case("a part of one picture", split(*["test"] * 4), REFUSED, "the validation part has 1 picture, and a corr"),
    _case("groups too few to be split", whole("image,mos,group\n" + ROWS.replace("0\n", "0,same\n")), REFUSED,
          "1 group of 8 different contents cannot be split into 3 parts: a group stays in one part"),
    _case("a part that is none", split("holdout"), REFUSED, "line 9: the split 'holdout' is none of"),
    _case("an image twice with the same score", line("p0.png,10"), READ, "1 lines repeat an earlier one: used once"),
    _case("an image twice with other scores", line("p0.png,11"), REFUSED, "stands in line 2 with other values"),
    _case("the same file under two names", copied("same.png,10"), REFUSED,
          "line 2: 'p0.png' and line 10: 'same.png' are the same file with the same score"),
    _case("the same file under two names with other scores", copied("same.png,90"), REFUSED, "with different scores"),
    _case("the same file in two parts (a leak)", leak, REFUSED, "the same content stands in train and test"),
    _case("an image that is not there", line("gone.png,30"), REFUSED, "line 10: 'gone.png' is not in"),
    _case("an image that the csv does not name", copied(), READ, "1 images of the folder are not in scores.csv"),
    _case("no csv at all", lambda folder: (folder / "scores.csv").unlink(), READ, "8 images without scores"),
    Case("Files of scores", "no csv, for fine-tuning", lambda folder: (folder / "scores.csv").unlink(), REFUSED,
         "DATA has no score for 8 of its 8 images", ("finetune", "--preset=smoke", "--data=DATA", "--crops.size=16")),
    Case("Files of scores", "the file alone, where pictures are missing and a score is text", csv_alone, REFUSED,
         "line 10: the score of 'gone.png' is 'good': give a number", (*VERIFY, "--pictures=no")),
    Case("Files of scores", "the file alone, where there is none", lambda folder: (folder / "scores.csv").unlink(),
         REFUSED, "DATA holds no csv", (*VERIFY, "--pictures=no")),
    *[
        _compared(what, lines, says)
        for what, lines, says in (
            ("a prediction with an underscore", ["p0.png,1,1_0"], "line 4: the prediction is '1_0': give a number in"),
            ("a score in other digits", ["p0.png,٣,2"], "line 4: the score is '٣': give a number in the digits 0 to 9"),
            ("a prediction that is missing", ["p0.png,1,"], "line 4: the prediction is missing"),
            ("a field too few", ["p0.png,1"], "line 4: 2 fields where the header has 3"),
            ("an image twice", ["a.png,3,3"], "'a.png' is named more than once"),
            ("no image named", [",3,3"], "line 4: no image is named"),
        )
    ],
    _published("a published score out of range", "agiqa", "data.csv", ",0.65,", ",77,", "outside 0…5"),
    _published("a published column that is missing", "agiqa", "data.csv", "mos_quality", "mos", "no column"),
    _published("an unknown set in KonIQ's csv", "koniq", "koniq*.csv", ",validation", ",holdout", "is none of"),
    _published("KADID's reference of another picture", "kadid", "dmos.csv", "I01.png,", "I02.png,", "is said to come"),
    _published("a published image twice", "koniq", "koniq*.csv", "10001.jpg", "10000.jpg", "stands there twice"),
]  # fmt: skip
