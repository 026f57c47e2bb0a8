"""mlflow run . -e pretrain: quality-aware pretraining of an encoder."""

from . import stage


def main(argv: list[str] | None = None) -> int:
    """Run the stage; the exit code says how it ended."""
    return stage.run("pretrain", __doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
