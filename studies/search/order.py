"""What a command asks for: a study's file, fixed settings, and from a trial's values the configs of its steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna

from iqa import config, datasets, experiment
from iqa.datasets.splits import KFOLD
from iqa.experiment import Arm, Plan

FOLDER = Path(__file__).parents[1]
UNSEEN = (*config.NO_PART_OF_THE_RESULT, "compute.device")  # may differ between workers
Suggestion = Mapping[str, Mapping[str, Any]]  # {"finetune": {"encoder_lr_ratio": 0.1}}


@dataclass(frozen=True)
class Member:
    """One of the runs over which a trial's value is the mean."""

    seed: int
    fold: int | None = None

    @property
    def label(self) -> str:
        return f"seed-{self.seed}" + ("" if self.fold is None else f"-fold-{self.fold}")


@dataclass(frozen=True)
class Order:
    """A search as it was asked for; everything in it is plain, so that another machine reads the same.

    Raises ValueError for a name that folders, tags and queries cannot have.
    """

    name: str  # a file of studies/
    study: str  # the name under which it is kept and gone on with
    preset: str
    trials: int  # in all, however many workers
    seeds: tuple[int, ...]
    folds: tuple[int, ...]  # () = the data's own protocol
    arm: str  # of the experiment: what its pretraining and overrides are; "" = none
    experiment: str
    sampler: str
    pruner: str
    overrides: dict[str, str]
    command: str = ""

    def __post_init__(self) -> None:
        if fault := experiment.misnamed(self.study):
            raise ValueError(f"study = {fault}")

    @property
    def space(self) -> ModuleType:
        return find(self.name)

    @property
    def members(self) -> list[Member]:
        folds: tuple[int | None, ...] = self.folds or (None,)
        return [Member(seed, fold) for fold in folds for seed in self.seeds]

    @property
    def epochs(self) -> int:
        """How many reports a trial makes at most."""
        return len(self.members) * self.plan({}, self.members[0]).finetuning("trial", self.seeds[0]).optim.epochs

    @property
    def fixed(self) -> Arm:
        """What every trial has: the arm's own steps, or fine-tuning alone."""
        if not self.arm:
            return Arm(title=self.study)
        arms = experiment.read(self.experiment or "demo").arms
        if self.arm not in arms:
            raise ValueError(config.unknown("arm", self.arm, list(arms)))
        if arms[self.arm].spends:
            raise ValueError(f"The arm {self.arm} spends what {arms[self.arm].spends} does: search for that one.")
        return arms[self.arm]

    def arm_of(self, suggestion: Suggestion) -> Arm:
        """What every trial has, with one's own values above it."""
        fixed, told = self.fixed, {stage: dict(values) for stage, values in suggestion.items()}
        steps: dict[str, Any] = {"finetune": fixed.finetune | told.get("finetune", {})}
        if fixed.pretrain is not None or "pretrain" in told:
            steps["pretrain"] = (fixed.pretrain or {}) | told.get("pretrain", {})
        return fixed.model_copy(update=steps)

    def plan(self, suggestion: Suggestion, member: Member) -> Plan:
        """A trial as an experiment of one arm and one seed."""
        arm, overrides = self.arm_of(suggestion), experiment.by_stage(self.overrides)
        if member.fold is not None:
            for stage in ("pretrain", "finetune"):
                overrides[stage] = overrides[stage] | {"data.protocol": KFOLD, "data.fold": member.fold}
        whole = experiment.Experiment(
            name=self.study, title=self.study, preset=self.preset, seeds=(member.seed,), arms={"trial": arm}
        )
        return Plan(experiment=whole, preset=self.preset, overrides=overrides)

    def check(self) -> None:
        """Refuse bad input before anything is written; reads the data set. Raises ValueError."""
        suggestion = drawn(self.space)[1]
        given = experiment.by_stage(self.overrides)
        for stage, values in suggestion.items():
            clash = set(config.dotted(stage, given[stage])) & set(config.dotted(stage, dict(values)))
            if clash:
                raise ValueError(f"{', '.join(sorted(clash))} is what the study {self.name} searches: leave it out.")
        for member in self.members:
            plan = self.plan(suggestion, member)
            plan.pretraining("trial", member.seed)
            tuning = plan.finetuning("trial", member.seed)
            experiment.cell("finetune", tuning, {})
            data = datasets.load(**tuning.data.model_dump())
            if not len(data.part("validation")):
                raise ValueError(f"{data.name} has no validation part under protocol {data.protocol}: choose another.")

    def declared(self) -> dict[str, Any]:
        """What a study of this name has to keep: its space, and the settings that give its values their meaning."""
        distributions, suggestion = drawn(self.space)
        member = self.members[0]
        plan = self.plan(suggestion, member)
        tuning = plan.finetuning("trial", member.seed)
        searched = {name for stage in suggestion for name in config.dotted(stage, dict(suggestion[stage]))}
        settings: dict[str, Any] = {
            "file": self.name,
            "seeds": list(self.seeds),
            "folds": list(self.folds),
            "arm": self.arm,
        }
        for stage, told in (("pretrain", plan.pretraining("trial", member.seed)), ("finetune", tuning)):
            if told is not None:
                known = config.flatten(told) | experiment.identities(stage, told)
                settings |= {
                    f"{stage}.{name}": value
                    for name, value in known.items()
                    if name not in (*searched, *UNSEEN, "seed")
                }
        return {"space": {name: spelled(one) for name, one in distributions.items()}, "settings": settings}


def drawn(space: ModuleType, seed: int = 0) -> tuple[dict[str, Any], Suggestion]:
    """(distributions, suggestion) of one random draw from a study's space."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    suggestion = space.suggest(trial)
    return dict(trial.distributions), suggestion


def spelled(distribution: Any) -> str:
    """A distribution as a sentence's part: '0.005 to 1, logarithmic'."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return "one of " + ", ".join(map(str, distribution.choices))
    step = f", in steps of {distribution.step:g}" if distribution.step else ""
    return f"{distribution.low:g} to {distribution.high:g}{', logarithmic' if distribution.log else ''}{step}"


def differences(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """One line for each name on which two declarations differ."""
    lines = []
    for part in ("space", "settings"):
        there, here = kept[part], asked[part]
        for name in sorted(there.keys() | here.keys()):
            if there.get(name, "nothing") != here.get(name, "nothing"):
                lines.append(f"  {name}: {there.get(name, 'nothing')} there, {here.get(name, 'nothing')} here")
    return lines


def names() -> list[str]:
    """The studies that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def find(name: str) -> ModuleType:
    """The study of that name. Raises ValueError with the nearest one."""
    if name not in names():
        raise ValueError(config.unknown("study", name, names()))
    return import_module(f"{__package__.rpartition('.')[0]}.{name}")
