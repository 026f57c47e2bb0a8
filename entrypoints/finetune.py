"""mlflow run . -e finetune: encoder and HyperIQA head on opinion scores."""

from . import stage


def main(argv: list[str] | None = None) -> int:
    """Run the stage; the exit code says how it ended."""
    return stage.run("finetune", __doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
