"""The `iqa` command: `iqa NAME --…` is the entry point NAME without MLflow Projects."""

import sys
from importlib import import_module
from importlib.util import find_spec

COMMANDS = {
    "main": "the experiment: arms × seeds, and its report",
    "pretrain": "stage 1: quality-aware pretraining of an encoder",
    "finetune": "stage 2: encoder and HyperIQA head on opinion scores",
    "evaluate": "a finished model on whole target sets",
    "score": "any pictures by a finished model: a csv and a contact sheet",
    "study": "an Optuna study",
    "report": "an experiment's report, from its finished runs",
    "data": "list, prepare or verify data sets",
    "ablate": "the experiment of ablations",
    "plan": "an experiment's cells, their cost, what they can decide",
    "sync": "send what the tracking store lacks of the runs on this disk",
    "doctor": "is this computer ready: torch, GPU, memory, store, data sets, disk",
    "clean": "what may go from the run folders, and its removal",
    "compare": "the verdict's statistics on two csv files of predictions",
}


def main() -> int:
    """Dispatch to the entry point that the first word names; 2 if it names none."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name not in COMMANDS:
        print(f"error: '{name}' is no command.\n{usage()}", file=sys.stderr)
        return 2
    package = "iqa.entrypoints" if find_spec("iqa.entrypoints") else "entrypoints"
    return import_module(f"{package}.{name}").main(sys.argv[2:])


def usage() -> str:
    """One line a command."""
    return "usage: iqa COMMAND [--name=value …]\n\n" + "\n".join(f"  {n:10}{text}" for n, text in COMMANDS.items())


if __name__ == "__main__":
    raise SystemExit(main())
