"""What each stage is told: one frozen model a stage, its fields with their units."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split), Field(min_length=1)]
Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
MOST_EPOCHS = 100_000
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A group of fields: frozen, and an unknown one is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _written_plainly(cls, value: Any, about: ValidationInfo) -> Any:
        """A number without the _ that pydantic overlooks: 1_0 is a slip as often as it is ten."""
        kind = cls.model_fields[about.field_name or ""].annotation
        if isinstance(value, str) and "_" in value and kind in (int, float):
            raise ValueError("give a number in the digits 0 to 9")
        return value


def _sizes(value: Any) -> Any:
    pairs = [pair.rpartition("=")[2].strip() for pair in str(value).split(",")]
    if not all(re.fullmatch(r"native|[1-9][0-9]{0,4}|[1-9][0-9]{0,4}x[1-9][0-9]{0,4}", size) for size in pairs):
        raise ValueError("a size is native, the short side in pixels (512), or width x height (512x384)")
    return value


Sizes = Annotated[str, AfterValidator(_sizes)]  # one for every data set, or NAME=SIZE, …
Filter = Literal["bicubic", "bilinear", "lanczos", "box"]  # Pillow's, which average where they scale down
AUTO = "auto"
AS_PUBLISHED = "koniq=512x384,kadid=512x384,spaq=512"  # what is not named stays as it is


class Data(Section):
    name: str = "koniq"  # a built-in or published set, or a folder with images and a csv; pretraining: a,b for both
    root: str = ""  # where published sets lie; no part of a result's identity
    protocol: str = ""  # "" = the set's own default
    split_seed: Seed = 0  # never the training seed
    on_bad: Literal["error", "skip"] = "error"  # skip: leave unusable rows out, count and list them
    fold: Annotated[int, Field(ge=0)] = 0  # of kfold-5: the one that is tested, 0 to 4
    round: Annotated[int, Field(ge=0)] = 0  # of random-80-20 and the like: which draw, 0 to 9
    input_size: Sizes = AS_PUBLISHED
    resize_filter: Filter = "bicubic"


class Compute(Section):
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Field(gt=0, le=1024)] = 1  # processes that share each batch, on all hosts; a GPU each
    threads: Annotated[int, Field(ge=0, le=1024)] = 0  # 0 = one for each core; where there are processes, for its part
    # images (fine-tuning: crops) per backward pass; 0 = the whole batch, auto = what this device is fastest with
    micro_batch: Annotated[int, Field(ge=0)] | Literal["auto"] = 0
    precision: Literal["float32", "bfloat16"] = "float32"  # of the encoder's layers; scores and losses stay float32
    recompute: bool = False  # activation checkpointing: the encoder keeps less for the backward pass, at a pass more
    max_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0  # of the process: then it saves and leaves
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
    compose: Positive = 1  # families on one image, of different groups, one to this many
    heldout: Positive = 200  # validation images whose ordering accuracy each epoch reports


class Loss(Section):
    type: Literal["simplified", "full"] = "simplified"
    m_cons: Weight = 2.5e-3  # unconfirmed against the paper
    m_rank: Weight = 6.75e-2  # unconfirmed against the paper
    consistency: Weight = 1.0  # lambda_cons
    ranking: Weight = 1.0  # lambda_rank; of full lambda_pos
    ranking_negative: Weight = 1.0  # lambda_neg, of full
    prototypes: Literal["text", "random"] = "text"  # of full; random: the control without words
    cosine: Annotated[float, Field(ge=-1, lt=1)] = 0.0  # of random prototypes
    text_model: str = "RN50-quickgelu"  # QualiCLIP's; open_clip's name, a folder with its config, or hf-hub:OWNER/NAME
    text_weights: str = ""  # a tag of open_clip or a file; "" = the folder's own, of a name openai
    prompts: Names = ("Good photo|Bad photo",)  # antonyms good|bad; the scores of several pairs are averaged
    shuffle_levels: bool = False  # the control: ranks mean nothing, a fresh permutation for each image and step

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.prototypes == "random" and self.type != "full":
            raise ValueError("loss.prototypes=random belongs to loss.type=full: give both, or neither.")
        if self.cosine and self.prototypes != "random":
            raise ValueError("loss.cosine belongs to loss.prototypes=random; the cosine of prompts is measured.")
        wrong = [pair for pair in self.prompts if len(pair.split("|")) != 2 or not all(map(str.strip, pair.split("|")))]
        if wrong:
            raise ValueError(f"loss.prompts are pairs good|bad, separated by commas; '{wrong[0]}' is none.")
        return self

    def pairs(self) -> list[tuple[str, str]]:
        """The prompts as (good, bad)."""
        halves = [pair.split("|") for pair in self.prompts]
        return [(good.strip(), bad.strip()) for good, bad in halves]


class PretrainOptim(Section):
    lr: Rate = 5e-5  # at the first step; a cosine from there
    weight_decay: Weight = 1e-4  # AdamW's
    batch_size: Positive = 8  # images, each seen 2 x levels times
    epochs: Annotated[int, Field(ge=0, le=MOST_EPOCHS)] = 10
    floor: Share = 0.0  # last rate over first rate, in every group
    clip: Weight = 0.0  # largest gradient norm; 0 = none


def _shared_out(config: Any, images: int) -> Any:
    """The config; raises ValueError if a batch has not an image for each device."""
    if config.compute.devices > max(1, images):
        raise ValueError(
            f"compute.devices is {config.compute.devices}, and a batch has {images} images to share out: give fewer "
            "devices, or a larger optim.batch_size."
        )
    return config


class PretrainConfig(Section):
    """Stage 1: quality-aware pretraining of the encoder."""

    seed: Seed = 0
    data: Data = Data()
    model: PretrainModel = PretrainModel()
    degrade: Degrade = Degrade()
    loss: Loss = Loss()
    optim: PretrainOptim = PretrainOptim()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _has_work_for_every_device(self) -> Self:
        return _shared_out(self, self.optim.batch_size)


class FinetuneModel(Section):
    encoder: str = "swin_base"  # as in pretraining
    weights: str = "timm"  # as in pretraining
    multi_scale: bool = True  # the hyper network sees all four stages, not the last alone
    attention: bool = True  # one weight for each stage and image; only with multi_scale
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3  # rate, in the head
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.2  # rate of the encoder's last block; it grows from 0 with depth


class TrainCrops(Section):
    size: Positive = 224  # pixels
    per_image: Positive = 1  # crops of one decoded image in each epoch
    flip: bool = True  # horizontally, every other crop at random
    validation: Positive = 5  # crops per image in each epoch: the four corners and the centre
    grid: Positive = 5  # the selected epoch sees grid x grid crops


class FinetuneOptim(Section):
    head_lr: Rate = 5e-5  # at the first step; a cosine from there
    encoder_lr_ratio: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1  # encoder rate = this x head_lr
    weight_decay: Weight = 2e-4  # AdamW's
    batch_size: Positive = 96  # crops
    epochs: Annotated[int, Field(gt=0, le=MOST_EPOCHS)] = 50
    extra_passes: Annotated[int, Field(ge=0)] = 0  # crops through the encoder beyond these epochs, as more of them:
    # the control of equal compute; one cosine over all, and early stopping waits until they are spent
    patience: Annotated[int, Field(ge=0)] = 10  # epochs without a better validation SRCC; 0 = never stop early
    floor: Share = 0.0  # last rate over first rate, in every group
    clip: Weight = 0.0  # largest gradient norm; 0 = none


class FinetuneConfig(Section):
    """Stage 2: encoder and HyperIQA head on opinion scores."""

    seed: Seed = 0
    data: Data = Data()
    model: FinetuneModel = FinetuneModel()
    crops: TrainCrops = TrainCrops()
    optim: FinetuneOptim = FinetuneOptim()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _has_work_for_every_device(self) -> Self:
        return _shared_out(self, self.optim.batch_size // self.crops.per_image)


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
