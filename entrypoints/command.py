"""How every command speaks: it reads its parameters, and ends in a sentence and an exit code."""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

BAD_INPUT, TRY_AGAIN, STOPPED = 2, 75, 128  # exit codes; a signal's number is added to STOPPED
SWITCHES = ("accept_code", "commands", "check", "offline", "yes")  # flags that need no value
UNSET = "default"  # the value of a parameter of MLproject that nobody gave
SHORT = {"output": ("-o",)}
SAID = {"": False, "false": False, "no": False, "true": True, "yes": True}
PRESET = "demo, smoke, laptop, frugal or paper, or a file"
OFFLINE = "true: ask no tracking store, write the journals alone; sync sends them later"
CHOICE = {
    "only": "titles of the cells to compute, with * and commas: 'pretrained *,* finetune seed 0'",
    "force": "titles of cells to compute again although they are finished, or all",
    "accept_code": "reuse cells that differ in the code alone",
}


def parse(
    description: str | None,
    argv: list[str],
    stages: Sequence[str] = (),
    words: tuple[str, str] = ("", ""),
    **flags: str,
) -> tuple[argparse.Namespace, dict[str, str]]:
    """Known flags (name → help text) and every other --name=value or --name value, dotted or not.

    stages: whose parameters the help lists in its end. words: name and help text of what may stand there without a
    flag; the list of it is `known.words`. Exits with 2 on something that is neither.
    """
    preset = next((word.removeprefix("--preset=") for word in argv if word.startswith("--preset=")), "demo")
    told = parameters(stages, preset) if {"-h", "--help"} & set(argv) else ""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, epilog=told, formatter_class=layout, allow_abbrev=False)
    if words[0]:
        parser.add_argument("words", metavar=words[0], help=words[1], nargs="*")
    for name, help_text in flags.items():
        bare = {"nargs": "?", "const": "true"} if name in SWITCHES else {}
        spellings = dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}"))
        short = SHORT.get(name, ())
        parser.add_argument(*short, *spellings, dest=name, default="", help=help_text, **bare)
    known, rest = (parser.parse_known_intermixed_args if words[0] else parser.parse_known_args)(argv)
    for name, value in vars(known).items():
        setattr(known, name, "" if value == UNSET else value)
    return known, overrides(rest)


def parameters(stages: Sequence[str], preset: str) -> str:
    """A table of the stages' short names: the dotted name and the preset's value of each; "" for no stages."""
    if not stages:
        return ""
    from iqa import config

    lines = [f"parameters: the short name, the dotted one, the value in the preset {preset}"]
    for stage in stages:
        default = config.flatten(config.load(stage, {}, preset))
        lines += [f"\n{stage}:"] if len(stages) > 1 else []
        for name, full in config.FLAT[stage].items():
            lines.append(f"  --{name:<18}{full:<24}{'nothing' if default[full] == '' else default[full]}")
    example = next(name for name in config.field_names(stages[-1]) if name not in config.FLAT[stages[-1]].values())
    lines.append(f"\nevery field has a dotted name: --{example}=…; iqa/config/models.py lists them with their units.")
    return "\n".join(lines)


def switch(name: str, text: str) -> bool:
    """true or yes, false or no, false where nothing is given. Raises ValueError."""
    if text.lower() not in SAID:
        raise ValueError(f"{name} is true or false, not '{text}'.")
    return SAID[text.lower()]


def go_offline(text: str) -> None:
    """offline=true holds for this process and the ones that it starts."""
    if switch("offline", text):
        os.environ["IQA_OFFLINE"] = "true"


def refuse_others(rest: dict[str, str], flags: Iterable[str], stages: Sequence[str] = (), of: str = "") -> None:
    """Raise ConfigError for every name that neither the command nor a stage of it knows, with the nearest one.

    Where it has several, STAGE.FIELD is left to that stage's own reading, and so is a seed.
    """
    from iqa import config

    short = [name for stage in stages for name in config.FLAT[stage]]
    full = [name for stage in stages for name in config.field_names(stage)]
    valid = [*flags, *(short + full if len(stages) == 1 else (name for name in short if name != "seed"))]
    known = {*valid, *short, *full}
    strange = [name for name in rest if name not in known and name.partition(".")[0] not in stages]
    if strange:
        raise config.ConfigError("\n".join(config.unknown("parameter", name, valid, of) for name in strange))


def whole(name: str, text: str, unset: int) -> int:
    """A whole number from 1 on. Raises ValueError."""
    if text and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{name} = '{text}': give a whole number from 1 on.")
    return int(text or unset)


def overrides(words: list[str]) -> dict[str, str]:
    """["--a.b", "1", "--c=2"] → {"a.b": "1", "c": "2"}. Raises ValueError for anything else."""
    values: dict[str, str] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise ValueError(f"'{word}' belongs to no parameter: write --name=value.")
        if not equals and (not waiting or waiting[0].startswith("--")):
            raise ValueError(f"--{name} has no value: write --{name}=value.")
        if name in values:
            raise ValueError(f"--{name} is given twice.")
        values[name] = value if equals else waiting.pop(0)
    return values


def ready() -> None:
    """What a process of ours begins with: what it says and what it does when it is asked to stop."""
    from iqa import tracking

    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("iqa").setLevel(logging.INFO)
    tracking.handle_signals()


def ended(work: Callable[[], int | None]) -> int:
    """Do the work; errors that a user can mend become sentences, and how it ended the exit code."""
    from iqa import tracking

    ready()
    try:
        return work() or 0
    except tracking.Stopped as stop:
        print(stop, file=sys.stderr)
        return STOPPED + int(stop.signal)
    except tracking.Unshipped as late:
        print(late, file=sys.stderr)
        return late.exit_code
    except (ValueError, OSError) as error:
        if os.environ.get("IQA_TRACEBACK"):
            raise
        tell(sentence(error))
        return getattr(error, "exit_code", BAD_INPUT)
    except (SystemExit, KeyboardInterrupt):
        raise
    except tracking.troubles() as error:  # only what is left is asked for this, since it brings in MLflow
        tell(tracking.troubled(error))
        return BAD_INPUT


def tell(said: str) -> None:
    """Say an error; one of several processes leaves it to its launcher, so that it is said once."""
    if "TORCHELASTIC_ERROR_FILE" in os.environ:
        from iqa import launching

        launching.leave_word(said)
    else:
        print(f"error: {said}", file=sys.stderr)


def sentence(error: Exception) -> str:
    """What an error says: of a path with the remedy, of a disk that takes no more with what is free there."""
    if not isinstance(error, OSError) or not error.filename or not error.strerror:
        return str(error)
    from iqa import disk

    if error.errno not in disk.FULL:
        return f"{error.filename}: {error.strerror.lower()}. Give a path that is there and that you may use."
    remedy = "make it writable, or give another path" if error.errno == errno.EROFS else "make room for it"
    return f"{disk.unwritten(Path(error.filename).absolute(), error)}: {remedy}."


def planned(description: str | None, argv: list[str] | None, **flags: str) -> tuple[Any, Any, argparse.Namespace]:
    """An experiment from the command line: what is planned, which of its cells are chosen, and what was given.

    Of the last every known flag is an attribute, and `rest` the other parameters.
    """
    known = {"preset": PRESET, "experiment": "a file of experiments/", "seeds": "0,1,2 or 0-7"}
    known |= {"offline": OFFLINE}
    words = sys.argv[1:] if argv is None else argv
    from iqa import config

    given, rest = parse(description, words, tuple(config.STAGES), **known, **CHOICE, **flags)
    refuse_others(rest, [*known, *CHOICE, *flags], tuple(config.STAGES), " of the experiment")
    go_offline(given.offline)
    from iqa import experiment

    choice = experiment.Choice(given.only, given.force, switch("accept_code", given.accept_code))
    given.rest = rest
    return experiment.plan(given.experiment, given.preset, given.seeds, rest), choice, given


def words(given: argparse.Namespace, *left_out: str) -> list[str]:
    """What `planned` was given, as it can be typed again, but for the flags that are left out."""
    said = {name: value for name, value in vars(given).items() if value and name not in (*left_out, "rest")}
    return typed([f"--{name}={value}" for name, value in (said | given.rest).items()])


def said(name: str, argv: list[str] | None) -> str:
    """The command as it was typed."""
    import shlex

    return shlex.join(["iqa", name, *typed(sys.argv[1:] if argv is None else argv)])


def typed(words: Sequence[str]) -> list[str]:
    """The words without the parameters that nobody gave: `mlflow run` passes those as well, at `default`."""
    kept, waiting = [], list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if name.startswith("--") and not equals and waiting[:1] == [UNSET]:
            waiting.pop(0)
        elif not (name.startswith("--") and value == UNSET):
            kept.append(word)
    return kept


def sibling(name: str) -> Any:
    """studies.NAME beside this package: at the project's root, or inside the installed iqa."""
    from importlib import import_module

    prefix = (__package__ or "").rpartition(".")[0]
    return import_module(f"{prefix}.{name}" if prefix else name)
