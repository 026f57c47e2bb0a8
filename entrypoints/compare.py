"""iqa compare mine.csv theirs.csv: the verdict's statistics on anybody's predictions; two run ids: what differs."""

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
        flags = {"treatment": "a csv, or one for each seed: a.csv,b.csv; or a run's id", "baseline": "the same"}
        given, rest = command.parse(__doc__, words, **flags)
        names = [*names, *filter(None, (given.treatment, given.baseline))]
        if rest or len(names) != 2:
            raise ValueError("Give two: iqa compare MINE.csv THEIRS.csv, or two run ids.")
        sides = [[Path(part) for part in name.split(",")] for name in names]
        print(*(files(sides) if any(file.suffix for side in sides for file in side) else runs(names)), sep="\n")

    return command.ended(work)


def files(sides: list[list[Path]]) -> list[str]:
    """Predictions against predictions."""
    from iqa.report import pairing

    return list(pairing.compare(sides[0], sides[1]))


def runs(names: list[str]) -> list[str]:
    """Run against run."""
    from iqa import tracking
    from iqa.report import differing

    one, other = (tracking.row(name) for name in names)
    return list(differing.differences(one, other, tracking.fetch))


if __name__ == "__main__":
    raise SystemExit(main())
