"""mlflow run . -e ablate: the original experiment's ablations, nine rows from seven arms, as `main` runs them."""

import sys

from . import main as experiment


def main(argv: list[str] | None = None) -> int:
    """The experiment `ablations`, with main's parameters."""
    return experiment.main(["--experiment=ablations", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    raise SystemExit(main())
