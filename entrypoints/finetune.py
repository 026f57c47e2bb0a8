"""mlflow run . -e finetune: encoder and HyperIQA head on opinion scores."""

from . import command


def main(argv: list[str] | None = None) -> int:
    """Run the stage; the exit code says how it ended."""
    return command.stage("finetune", __doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
