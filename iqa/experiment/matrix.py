"""The matrix: an experiment's file → arms × seeds → the configs of its steps."""

import hashlib
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from iqa import datasets, degradations, report
from iqa.config import FLAT, STAGES, UNSET, ConfigError, Section, field_names, load, named_values, read_preset, unknown
from iqa.experiment.declaration import Ablation, Claim, Contrast, Group, faults_of

FOLDER = Path("experiments")  # of the project, where people add their own
INSTALLED = [parent / "experiments" for parent in Path(__file__).parents[1:3]]  # in a wheel, in a checkout
SHARED = {"smoke": "demo", "frugal": "paper"}  # presets that run another one's arms
ROUND = "round "  # begins the name of a part that is a re-split; folds are bare numbers
MOST_SEEDS = 10_000  # and each of them below that: an experiment is listed whole
FEWER = {"frugal": "0-2"}  # and with fewer seeds than the file says
ONE_STAGE = (
    "devices is for pretrain, finetune and evaluate: an experiment or a study computes whole cells side by side "
    "instead (at_once, workers), one on each GPU."
)


class Arm(Section):
    """One way to get a model: what it overrides in fine-tuning, and in pretraining if it has that stage."""

    title: str
    pretrain: dict[str, Any] | None = None
    finetune: dict[str, Any] = {}
    spends: str = ""  # the control of equal compute: an arm whose pretraining's encoder passes go into fine-tuning


class Experiment(Section):
    """One file of experiments/: declared before the first result."""

    name: str
    title: str
    preset: str
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    folds: Annotated[int, Field(ge=0)] = 0  # kfold-N on the experiment's own data; the folds are the sets
    rounds: Annotated[int, Field(ge=0)] = 0  # or so many random re-splits of it, which share images
    protocol: Literal["random-70-10-20", "random-80-20"] = "random-70-10-20"  # of the rounds
    arms: Annotated[dict[str, Arm], Field(min_length=1)]
    groups: dict[str, Group] = {}
    contrasts: tuple[Contrast, ...] = ()
    claims: tuple[Claim, ...] = ()
    ablations: tuple[Ablation, ...] = ()
    shows: tuple[str, ...] = ()  # other experiments, whose tables of ablations stand in this one's report too
    demonstration: str = ""  # why its numbers are no evidence; "" = they are meant as evidence
    notes: tuple[str, ...] = ()

    @property
    def declaration(self) -> str:
        """The hash of everything that decides what is claimed of which runs; words do not count."""
        content = self.model_dump(mode="json", exclude={"title", "notes", "demonstration", "shows"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def parts(self) -> tuple[str, ...]:
        """The folds by number, "round 0", …, or one part without a name."""
        return tuple(map(str, range(self.folds))) or tuple(f"{ROUND}{k}" for k in range(self.rounds)) or ("",)

    def turn(self, part: str) -> dict[str, Any]:
        """How the data are split for one of the parts."""
        if part.startswith(ROUND):
            return {"data.protocol": self.protocol, "data.round": part.removeprefix(ROUND)}
        return {"data.protocol": f"kfold-{self.folds}", "data.fold": part} if part else {}


class Plan(Section):
    """An experiment with its overrides sorted by stage."""

    experiment: Experiment
    preset: str
    overrides: dict[str, dict[str, Any]]
    seeds: str = ""  # as this command gives them; "" = the experiment's own

    def pretraining(self, arm: str, seed: int, fold: str = "") -> Any | None:
        """The pretraining of an arm, or None if it has none; inside the training part of its fold."""
        own = self.experiment.arms[arm].pretrain
        return None if own is None else load("pretrain", self._own("pretrain", own, seed, fold), self.preset)

    def finetuning(self, arm: str, seed: int, encoder: str = "", fold: str = "") -> Any:
        """The fine-tuning of an arm, from the encoder that its pretraining left, if it has one."""
        values = self._own("finetune", self.experiment.arms[arm].finetune, seed, fold)
        if encoder:
            values |= {"model.weights": encoder, "model.encoder": ""}
        if self.experiment.arms[arm].spends:
            giver = self.pretraining(self.experiment.arms[arm].spends, seed, fold)
            values |= {"optim.extra_passes": encoder_passes(giver)}
        return load("finetune", values, self.preset)

    @property
    def shown(self) -> list["Plan"]:
        """The other experiments of the report, with this command's preset, overrides and seeds."""
        return [
            self.model_copy(update={"experiment": _seeded(read(name), self.seeds)}) for name in self.experiment.shows
        ]

    @property
    def device(self) -> str:
        """Where its first model is trained: auto, cpu, cuda or mps."""
        return str(self.finetuning(next(iter(self.experiment.arms)), self.experiment.seeds[0]).compute.device)

    def evaluation(self, model: str) -> Any:
        """The evaluation of a model on the target sets."""
        return load("evaluate", self.overrides["evaluate"] | {"weights": model}, self.preset)

    def _own(self, stage: str, arm: dict[str, Any], seed: int, fold: str = "") -> dict[str, Any]:
        def full(values: dict[str, Any]) -> dict[str, Any]:
            return {FLAT[stage].get(name, name): value for name, value in values.items()}

        return full(self.overrides[stage]) | full(arm) | self.experiment.turn(fold) | {"seed": seed}


class Place(NamedTuple):
    """Where a cell stands in the matrix; fold is one of the experiment's parts."""

    stage: str
    arm: str
    seed: int
    fold: str

    @property
    def title(self) -> str:
        return report.titled(*self)


def places(plan: Plan) -> Iterator[Place]:
    """Every place in the matrix, in the order in which an experiment comes to them."""
    for seed, arm, fold in corners(plan):
        stages = ["pretrain"] * (plan.experiment.arms[arm].pretrain is not None) + ["finetune"]
        stages += ["evaluate"] * (fold == plan.experiment.parts[0])
        yield from (Place(stage, arm, seed, fold) for stage in stages)


def asked(plan: Plan, only: str) -> list[Place]:
    """The places that a command is about: all of them without `only`. Raises ValueError where it names none."""
    every = list(places(plan))
    found = [place for place in every if not only or fits(place.title, only)]
    if not found:
        raise ValueError(f"--only={only} names no cell: there are {', '.join(one.title for one in every[:6])}, …")
    return found


def fits(title: str, text: str) -> bool:
    """Whether a cell's title is one of the patterns of `only` or `force`."""
    return any(fnmatchcase(title, one) for one in patterns(text))


def patterns(text: str) -> list[str]:
    """What stands between the commas of `only` and `force`."""
    return [one.strip() for one in text.split(",") if one.strip()]


def corners(plan: Plan) -> Iterator[tuple[int, str, str]]:
    """Seeds × arms × folds; of a seed, the arms that pretrain first, since the longest chain should not begin last."""
    arms = sorted(plan.experiment.arms, key=lambda arm: plan.experiment.arms[arm].pretrain is None)
    return product(plan.experiment.seeds, arms, plan.experiment.parts)


def encoder_passes(pretraining: Any) -> int:
    """Crops that go through the encoder in a pretraining: two of each image and epoch, at each level."""
    data = datasets.load(**pretraining.data.model_dump())
    return pretraining.optim.epochs * len(data.part("train").references()) * 2 * pretraining.degrade.levels


def read(name: str) -> Experiment:
    """experiments/NAME.yaml, or the file itself. Raises ConfigError with everything that is wrong in it."""
    file = Path(name) if name.endswith((".yaml", ".yml")) else folder_of_files() / f"{name}.yaml"
    if not file.is_file():
        raise ConfigError(unknown("experiment", name, known()))
    try:
        found = Experiment.model_validate({"name": file.stem} | named_values(file, file.read_bytes()))
    except ValidationError as error:
        faults = [f"{file}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}." for fault in error.errors()]
        raise ConfigError("\n".join(faults)) from None
    wrong = faults_of(found)
    wrong += [f"shows: {unknown('experiment', one, known())}" for one in found.shows if one not in known()]
    if wrong:
        raise ConfigError("\n".join(f"{file}: {fault}" for fault in wrong))
    return found


def plan(name: str, preset: str, seeds: str, overrides: dict[str, Any]) -> Plan:
    """The experiment as this command wants it; without a name the preset's, without either the demo.

    Raises ConfigError.
    """
    stem = Path(preset).stem
    if preset:
        read_preset(preset)  # a name that is mistyped is no experiment's
    given = seeds or FEWER.get(stem, "")
    experiment = _seeded(read(name or of_preset(stem)), given)
    preset = preset or experiment.preset
    made = Plan(experiment=experiment, preset=preset, overrides=by_stage(overrides), seeds=given)
    if wrong := list(_undegradable(made)):
        raise ConfigError("\n".join(wrong))
    return made


def _undegradable(plan: Plan) -> Iterator[str]:
    """Arms whose pretraining would refuse its families: hours later, after the cells of others."""
    for arm in plan.experiment.arms:
        own = plan.pretraining(arm, plan.experiment.seeds[0], plan.experiment.parts[0])
        if own is not None:
            try:
                degradations.check(own.degrade.families, own.degrade.levels, own.degrade.crop, own.degrade.compose)
            except ValueError as error:
                yield f"arm {arm}: {error}"


def _seeded(experiment: Experiment, seeds: str) -> Experiment:
    """The experiment with other seeds, if any are given."""
    return experiment.model_copy(update={"seeds": read_seeds(seeds)}) if seeds else experiment


def of_preset(stem: str) -> str:
    """The experiment that a preset runs where none is named. Raises ConfigError."""
    name = SHARED.get(stem, stem) or "demo"
    if name not in known():
        raise ConfigError(f"The preset {stem} has no experiment of its own: name one, experiment={'|'.join(known())}.")
    return name


def known() -> list[str]:
    """The names of the experiments that are there."""
    return sorted(path.stem for path in folder_of_files().glob("*.yaml"))


def folder_of_files() -> Path:
    """experiments/ of the working directory, else the installed one."""
    return next((place for place in (FOLDER, *INSTALLED) if place.is_dir()), FOLDER)


def by_stage(overrides: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{stage: its overrides by dotted name}: STAGE.FIELD goes to that stage, a bare FIELD to every stage that has it.

    What is said of one stage stands above what is said of all. Raises ConfigError for a name that no stage has, and
    for both spellings of one.
    """
    general: dict[str, dict[str, Any]] = {stage: {} for stage in STAGES}
    special: dict[str, dict[str, Any]] = {stage: {} for stage in STAGES}
    faults = []
    for given, value in ((name, value) for name, value in overrides.items() if value != UNSET):
        stage, _, field = given.partition(".")
        takers = [stage] if stage in STAGES else [s for s in STAGES if given in FLAT[s] or given in field_names(s)]
        if not takers or given == "seed":
            valid = ["seeds", *FLAT["pretrain"], *FLAT["finetune"], *FLAT["evaluate"]]
            faults.append(unknown("parameter", given, [n for n in valid if n != "seed"], " of the experiment"))
        for taker in takers:
            name, places = (field, special) if stage in STAGES else (given, general)
            full = FLAT[taker].get(name, name)
            if full in places[taker]:
                faults.append(f"'{full}' of {taker} is given twice, also under its short name: give one of them.")
            places[taker][full] = value
    if any(told.get("compute.devices", "1") != "1" for told in (*general.values(), *special.values())):
        faults.append(ONE_STAGE)
    if faults:
        raise ConfigError("\n".join(faults))
    general["evaluate"].pop("weights", None)  # the experiment evaluates its own models
    return {stage: general[stage] | special[stage] for stage in STAGES}


def read_seeds(text: str) -> tuple[int, ...]:
    """ "0,1,2" or "0-7" → the seeds."""
    ends = [re.fullmatch(r" *([0-9]{1,99})(?:-([0-9]{1,99}))? *", part) for part in text.split(",")]
    if not all(ends):
        raise ConfigError(f"seeds = '{text}': write them as 0,1,2 or as 0-7.")
    spans = [range(int(end[1]), int(end[2] or end[1]) + 1) for end in ends if end]
    if any(span.stop > MOST_SEEDS for span in spans):
        raise ConfigError(f"seeds = '{text}': the largest is {MOST_SEEDS - 1}.")
    seeds = [seed for span in spans for seed in span]
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(f"seeds = '{text}': at least one seed, and each of them once.")
    return tuple(seeds)
