"""Configs from strings: presets, overrides by flat or dotted name, and every fault at once."""

import difflib
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from iqa.config.models import EvaluateConfig, FinetuneConfig, PretrainConfig, Section

UNSET = "default"  # what MLproject passes for a parameter that nobody gave
PRESETS = Path(__file__).parents[1] / "presets"


class ConfigError(ValueError):
    """Everything that is wrong with the parameters, one sentence a line."""


STAGES: dict[str, type[Section]] = {"pretrain": PretrainConfig, "finetune": FinetuneConfig, "evaluate": EvaluateConfig}
_DATA = {"data": "data.name", "data_root": "data.root", "protocol": "data.protocol"}
_COMPUTE = {"device": "compute.device", "devices": "compute.devices", "max_hours": "compute.max_hours"}
FLAT: dict[str, dict[str, str]] = {  # the flat names of MLproject, each an alias of a dotted one
    "pretrain": _DATA
    | _COMPUTE
    | {"encoder": "model.encoder", "weights": "model.weights", "epochs": "optim.epochs", "seed": "seed"}
    | {"batch_size": "optim.batch_size", "lr": "optim.lr", "loss": "loss.type"}
    | {"families": "degrade.families", "levels": "degrade.levels"},
    "finetune": _DATA
    | _COMPUTE
    | {"encoder": "model.encoder", "weights": "model.weights", "epochs": "optim.epochs", "seed": "seed"}
    | {"batch_size": "optim.batch_size", "head_lr": "optim.head_lr", "encoder_lr_ratio": "optim.encoder_lr_ratio"},
    "evaluate": {"weights": "weights", "targets": "targets.names", "data_root": "targets.root"} | _COMPUTE,
}
NO_PART_OF_THE_RESULT = ("data.root", "targets.root", "compute.checkpoint_minutes", "compute.max_hours")


def load(stage: str, overrides: dict[str, Any], preset: str = "demo") -> Any:
    """The config of `stage`: its defaults (the original experiment's), then the preset's, then the overrides.

    overrides: flat or dotted name → value, strings as the command line gives them; UNSET ones are ignored.
    Raises ConfigError naming every unknown field (with the nearest), every clash and every ill-typed value.
    """
    values = read_preset(preset)[stage] | dotted(stage, overrides)
    return build(stage, values)


def build(stage: str, values: dict[str, Any]) -> Any:
    """The frozen model of `stage` from dotted names; raises ConfigError with every fault at once."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    try:
        return STAGES[stage].model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(fault) for fault in error.errors())) from None


def dotted(stage: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides under their dotted names; raises ConfigError for unknown names and for both spellings at once."""
    aliases, known = FLAT[stage], field_names(stage)
    result: dict[str, Any] = {}
    faults = []
    for name, value in overrides.items():
        if value == UNSET:
            continue
        full = aliases.get(name, name)
        if full not in known:
            faults.append(unknown("parameter", name, [*aliases, *known], f" of {stage}"))
        elif full in result:
            faults.append(f"'{full}' is given twice, also under its short name: give one of them.")
        result[full] = value
    if faults:
        raise ConfigError("\n".join(faults))
    return result


def unknown(kind: str, name: str, valid: list[str], of: str = "") -> str:
    """The sentence for a name that nobody knows, with the nearest one that somebody does; each of them once."""
    valid = list(dict.fromkeys(valid))
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"'{name}' is no {kind}{of}: " + (f"did you mean '{near[0]}'?" if near else f"known are {', '.join(valid)}.")


def field_names(stage: str) -> list[str]:
    """Every dotted field name of a stage."""
    return list(flatten(STAGES[stage]()))


def flatten(config: BaseModel) -> dict[str, Any]:
    """{"optim.head_lr": 5e-05, …}; tuples as comma-separated text."""
    flat: dict[str, Any] = {}
    for name, value in config.model_dump().items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        flat |= {f"{name}.{key}".rstrip("."): ",".join(v) if isinstance(v, tuple) else v for key, v in inner}
    return flat


def fingerprint(config: BaseModel, identities: dict[str, str]) -> str:
    """SHA-256 of what can change the result (paths to data and checkpoint intervals cannot).

    identities: dotted name → digest of what that field points to (a data set, a checkpoint), put in its place.
    """
    kept = {name: value for name, value in (flatten(config) | identities).items() if name not in NO_PART_OF_THE_RESULT}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def read_preset(preset: str) -> dict[str, dict[str, Any]]:
    """{stage: {dotted name: value}} of a preset: a name in iqa/presets, or a path to a YAML file."""
    file = Path(preset) if preset.endswith((".yaml", ".yml")) else PRESETS / f"{preset}.yaml"
    if not file.is_file():
        names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
        raise ConfigError(unknown("preset", preset, names))
    return _sections(file, file.read_bytes())


@lru_cache(maxsize=16)
def _sections(file: Path, content: bytes) -> dict[str, dict[str, Any]]:
    """A preset's content, read once for all the cells of an experiment; nobody changes it."""
    told = named_values(file, content)
    strange = {str(name) for name in set(told) - set(STAGES)}
    strange |= {name for name in told if not isinstance(told[name] or {}, dict)}
    if strange:
        raise ConfigError(
            f"{file}: a preset has the sections {', '.join(STAGES)}, each with names and values, "
            f"not {', '.join(sorted(strange))}."
        )
    return {stage: dotted(stage, told.get(stage) or {}) for stage in STAGES}


class _OnceEach(yaml.SafeLoader):
    """YAML in which a name stands once in its table: the plain loader takes the last of two and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is given twice", key.start_mark)
            seen |= {key.value} if isinstance(key, yaml.ScalarNode) else set()
        return super().construct_mapping(node, deep)


def named_values(file: Path, content: bytes) -> dict[Any, Any]:
    """The table of names and values that a YAML file holds, {} of an empty one. Raises ConfigError for what is none."""
    try:
        told = yaml.load(content, Loader=_OnceEach)
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{file}{place}: {error.problem}. Mend the YAML there.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no YAML in UTF-8 ({' '.join(str(error).split())}): save it anew.") from None
    if not isinstance(told or {}, dict):
        raise ConfigError(f"{file} holds no names with values, such as 'title: …': begin from a file of experiments/.")
    return told or {}


def _sentence(fault: Any) -> str:
    if fault["type"] == "value_error" and isinstance(fault["input"], dict):  # a rule between fields says it all
        return str(fault["ctx"]["error"])
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"'{name}' is no parameter."
    said = fault["msg"].removeprefix("Value error, ")
    return f"{name} = {fault['input']!r}: {said[0].lower()}{said[1:]}."
