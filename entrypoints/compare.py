"""iqa compare mine.csv theirs.csv: the verdict's statistics on anybody's predictions; two runs: what differs.

iqa compare a.csv,b.csv c.csv,d.csv              several seeds, in the same order on both sides
iqa compare 0123456789abcdef0123456789abcdef ID  a run by its id, or by the first 8 digits or more
iqa compare demo ID                              the newest finished run of the experiment demo
"""

import sys
from pathlib import Path

from . import command


def main(argv: list[str] | None = None) -> int:
    """Two csv files of images, scores and predictions, or commas between the files of several seeds; or two runs."""

    def work() -> None:
        words = list(sys.argv[1:] if argv is None else argv)
        names = []
        while words and not words[0].startswith("--"):
            names.append(words.pop(0))
        flags = {"treatment": "a csv, one for each seed (a.csv,b.csv), or a run", "baseline": "the same"}
        given, rest = command.parse(__doc__, words, **flags)
        names = [*names, *filter(None, (given.treatment, given.baseline))]
        command.refuse_others(rest, flags)
        if len(names) != 2:
            raise ValueError("Give two: iqa compare MINE.csv THEIRS.csv, or two runs, by id or by experiment.")
        sides = [parts(name) for name in names]
        print(*(files(sides) if any(file.suffix for side in sides for file in side) else runs(names)), sep="\n")

    return command.ended(work)


def parts(name: str) -> list[Path]:
    """What stands between the commas. Raises ValueError where nothing does."""
    found = [part.strip() for part in name.split(",")]
    if not all(found):
        raise ValueError(f"'{name}' names nothing where a file or a run should stand: write A.csv, or A.csv,B.csv.")
    return [Path(part) for part in found]


def files(sides: list[list[Path]]) -> list[str]:
    """Predictions against predictions."""
    from iqa.report import pairing

    return list(pairing.compare(sides[0], sides[1]))


def runs(names: list[str]) -> list[str]:
    """Run against run."""
    from iqa import tracking
    from iqa.report import differing

    one, other = (tracking.named(name.strip()) for name in names)
    return list(differing.differences(one, other, tracking.fetch))


if __name__ == "__main__":
    raise SystemExit(main())
