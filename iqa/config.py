"""What each stage is told: one frozen model a stage, read from strings, presets and overrides."""

import difflib
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

UNSET = "default"  # what MLproject passes for a parameter that nobody gave
PRESETS = Path(__file__).parent / "presets"


class ConfigError(ValueError):
    """Everything that is wrong with the parameters, one sentence a line."""


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split), Field(min_length=1)]
Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A group of fields: frozen, and an unknown one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _sizes(value: Any) -> Any:
    pairs = [pair.rpartition("=")[2].strip() for pair in str(value).split(",")]
    if not all(re.fullmatch(r"native|[1-9]\d{0,4}|[1-9]\d{0,4}x[1-9]\d{0,4}", size) for size in pairs):
        raise ValueError("a size is native, the short side in pixels (512), or width x height (512x384)")
    return value


Sizes = Annotated[str, AfterValidator(_sizes)]  # one for every data set, or NAME=SIZE, …
Filter = Literal["bicubic", "bilinear", "lanczos", "box"]  # Pillow's, which average where they scale down
AS_PUBLISHED = "koniq=512x384,kadid=512x384,spaq=512"  # what is not named stays as it is


class Data(Section):
    name: str = "koniq"  # a built-in or published set, or a folder with images and a csv; pretraining: a,b for both
    root: str = ""  # where published sets lie; no part of a result's identity
    protocol: str = ""  # "" = the set's own default
    split_seed: int = 0  # never the training seed
    on_bad: Literal["error", "skip"] = "error"
    fold: Annotated[int, Field(ge=0)] = 0  # of kfold-5: the one that is tested, 0 to 4
    round: Annotated[int, Field(ge=0)] = 0  # of random-80-20 and the like: which draw, 0 to 9
    input_size: Sizes = AS_PUBLISHED
    resize_filter: Filter = "bicubic"


class Compute(Section):
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 0  # 0 = one for each core
    micro_batch: Annotated[int, Field(ge=0)] = 0  # images per backward pass; 0 = the whole batch
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 5.0  # within an epoch; 0 = after every step


class PretrainModel(Section):
    encoder: str = "swin_base"  # "" = what the weights say
    weights: str = "timm"  # bundled | timm | random | file | folder | runs:/ID/encoder
    hidden: Positive = 512  # projector (assumption: the paper names no size)
    embedding: Positive = 128


class Degrade(Section):
    families: Names = ("blur", "jpeg", "noise", "brightness")
    levels: Annotated[int, Field(ge=2)] = 5
    crop: Positive = 224  # pixels
    overlap: Share = 0.5  # of two crops' area, at least
    heldout: Positive = 200  # validation images whose ordering accuracy each epoch reports


class Loss(Section):
    type: Literal["simplified"] = "simplified"
    m_cons: Weight = 2.5e-3  # unconfirmed against the paper
    m_rank: Weight = 6.75e-2  # unconfirmed against the paper
    consistency: Weight = 1.0  # lambda_cons
    ranking: Weight = 1.0  # lambda_rank


class PretrainOptim(Section):
    lr: Rate = 5e-5
    weight_decay: Weight = 1e-4
    batch_size: Positive = 8  # images, each seen 2 x levels times
    epochs: Annotated[int, Field(ge=0)] = 10
    floor: Share = 0.0  # last rate over first rate, in every group
    clip: Weight = 0.0  # largest gradient norm; 0 = none


class PretrainConfig(Section):
    """Stage 1: quality-aware pretraining of the encoder."""

    seed: Annotated[int, Field(ge=0)] = 0
    data: Data = Data()
    model: PretrainModel = PretrainModel()
    degrade: Degrade = Degrade()
    loss: Loss = Loss()
    optim: PretrainOptim = PretrainOptim()
    compute: Compute = Compute()


class FinetuneModel(Section):
    encoder: str = "swin_base"
    weights: str = "timm"
    multi_scale: bool = True
    attention: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.2


class TrainCrops(Section):
    size: Positive = 224  # pixels
    per_image: Positive = 1  # crops of one decoded image in each epoch
    flip: bool = True
    validation: Positive = 5  # crops per image: the four corners and the centre, as HyperIQA's grid thinned
    grid: Positive = 5  # the selected epoch sees grid x grid crops


class FinetuneOptim(Section):
    head_lr: Rate = 5e-5
    encoder_lr_ratio: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1  # encoder rate = this x head_lr
    weight_decay: Weight = 2e-4
    batch_size: Positive = 96  # crops
    epochs: Positive = 50
    patience: Annotated[int, Field(ge=0)] = 10  # epochs without a better validation SRCC; 0 = never stop early
    floor: Share = 0.0
    clip: Weight = 0.0


class FinetuneConfig(Section):
    """Stage 2: encoder and HyperIQA head on opinion scores."""

    seed: Annotated[int, Field(ge=0)] = 0
    data: Data = Data()
    model: FinetuneModel = FinetuneModel()
    crops: TrainCrops = TrainCrops()
    optim: FinetuneOptim = FinetuneOptim()
    compute: Compute = Compute()


class GridCrops(Section):
    size: Positive = 224
    grid: Positive = 5


class Targets(Section):
    names: Names = ("spaq", "kadid", "agiqa")
    root: str = ""
    on_bad: Literal["error", "skip"] = "error"
    input_size: Sizes = AS_PUBLISHED
    resize_filter: Filter = "bicubic"


class EvaluateConfig(Section):
    """A finished model on whole target sets."""

    weights: str = ""  # runs:/ID/model or a folder; "" = the newest finished fine-tuning run
    targets: Targets = Targets()
    crops: GridCrops = GridCrops()
    compute: Compute = Compute()


STAGES: dict[str, type[Section]] = {"pretrain": PretrainConfig, "finetune": FinetuneConfig, "evaluate": EvaluateConfig}
_DATA = {"data": "data.name", "data_root": "data.root", "protocol": "data.protocol", "device": "compute.device"}
FLAT: dict[str, dict[str, str]] = {  # the flat names of MLproject, each an alias of a dotted one
    "pretrain": _DATA
    | {"encoder": "model.encoder", "weights": "model.weights", "epochs": "optim.epochs", "seed": "seed"}
    | {"batch_size": "optim.batch_size", "lr": "optim.lr", "loss": "loss.type"}
    | {"families": "degrade.families", "levels": "degrade.levels"},
    "finetune": _DATA
    | {"encoder": "model.encoder", "weights": "model.weights", "epochs": "optim.epochs", "seed": "seed"}
    | {"batch_size": "optim.batch_size", "head_lr": "optim.head_lr", "encoder_lr_ratio": "optim.encoder_lr_ratio"},
    "evaluate": {"weights": "weights", "targets": "targets.names", "data_root": "targets.root"}
    | {"device": "compute.device"},
}
NO_PART_OF_THE_RESULT = ("data.root", "targets.root", "compute.checkpoint_minutes")


def load(stage: str, overrides: dict[str, Any], preset: str = "demo") -> Any:
    """The config of `stage`: its defaults (the seed's numbers), then the preset's, then the overrides.

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
    """The sentence for a name that nobody knows, with the nearest one that somebody does."""
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
    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    strange = set(content) - set(STAGES)
    if strange:
        raise ConfigError(f"{file}: a preset has the sections {', '.join(STAGES)}, not {', '.join(sorted(strange))}.")
    return {stage: dotted(stage, content.get(stage) or {}) for stage in STAGES}


def _sentence(fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"'{name}' is no parameter."
    said = fault["msg"].removeprefix("Value error, ")
    return f"{name} = {fault['input']!r}: {said[0].lower()}{said[1:]}."
