"""mlflow run . -e evaluate: a finished model on whole target sets."""

from . import stage


def main(argv: list[str] | None = None) -> int:
    """Run the stage; the exit code says how it ended."""
    return stage.run("evaluate", __doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
