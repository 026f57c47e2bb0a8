"""What an experiment declares beside its arms: groups to choose from, contrasts, claims, tables of ablations."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from iqa.config import Section, unknown

if TYPE_CHECKING:
    from iqa.experiment.matrix import Experiment

FOLDS, ROUNDS = (0, 5), 10  # protocols that datasets can split by, and the most draws of a random one


class Group(Section):
    """Arms that differ in one rate: the one with the best mean validation SRCC stands for the group."""

    title: str
    arms: Annotated[tuple[str, ...], Field(min_length=2)]  # in the order of the rate


class Contrast(Section):
    """A difference that the report shows; a claim decides one of them. Sides are arms or groups."""

    name: str
    treatment: str
    baseline: str
    note: str = ""  # shown beside it, such as "as specified"


class Claim(Section):
    """A sentence that the report marks ✓, ✗, ≈ or ?, by the rule of its measure."""

    title: str
    contrast: str
    measure: Literal["cross", "own", "epochs", "probe"]


class AblationRow(Section):
    """A row of an ablation's table."""

    label: str
    arm: str
    note: str = ""


class Ablation(Section):
    """A table without marks: arms that differ in one respect."""

    title: str
    what: str  # the heading of its first column
    rows: Annotated[tuple[AblationRow, ...], Field(min_length=1)]


def faults_of(experiment: "Experiment") -> list[str]:
    """A sentence for every name that nothing bears or two do, and for folds and rounds that no protocol makes."""
    found = [*_names(experiment), *_spenders(experiment), *_repeated(experiment), *_seeded(experiment)]
    names = {"name": [experiment.name], "arm": experiment.arms, "group": experiment.groups}
    found += [f"{what}: {fault}" for what, those in names.items() for one in those if (fault := misnamed(one))]
    if experiment.folds not in FOLDS:
        found.append(f"folds: {experiment.folds}: data can be split into {FOLDS[1]} folds, or not (0).")
    if experiment.rounds > ROUNDS or experiment.rounds == 1:
        found.append(f"rounds: {experiment.rounds}: there are 2 to {ROUNDS} re-splits, or none (0).")
    if experiment.folds and experiment.rounds:
        found.append("folds and rounds: the data are split by one of them, not by both.")
    both = sorted(set(experiment.groups) & set(experiment.arms))
    found += [f"group {name} is also an arm: give it another name." for name in both]
    return found


def misnamed(name: str) -> str:
    """What is wrong with a name that folders, tags, --only's patterns and MLflow's views have; "" if nothing is."""
    if re.fullmatch(r"\w[\w.\- ]{0,99}", name):
        return ""
    return f"'{name}': up to 100 letters, digits, dots, dashes, underscores and spaces."


def _repeated(experiment: "Experiment") -> Iterator[str]:
    """Seeds, contrasts and claims that stand there twice; a seed again would count as another pair of runs."""
    yield from (
        f"seeds: {seed} stands there {times} times: each seed once." for seed, times in _twice(experiment.seeds)
    )
    names = [contrast.name for contrast in experiment.contrasts]
    yield from (f"{times} contrasts are called {name}: give each its own name." for name, times in _twice(names))
    titles = [side.title for sides in (experiment.arms, experiment.groups) for side in sides.values()]
    yield from (f"{times} arms or groups have the title {title}: give each its own." for title, times in _twice(titles))
    claims = [(claim.measure, claim.contrast) for claim in experiment.claims]
    yield from (
        f"claim {measure} of {name} stands there {times} times: once." for (measure, name), times in _twice(claims)
    )
    for name, group in experiment.groups.items():
        yield from (f"group {name} has the arm {arm} {times} times: once." for arm, times in _twice(group.arms))
    for one in experiment.contrasts:
        if one.treatment == one.baseline:
            yield f"contrast {one.name} compares {one.baseline} with itself: name two different sides."


def _twice(values: Iterable[Any]) -> list[tuple[Any, int]]:
    return [(value, times) for value, times in Counter(values).items() if times > 1]


def _seeded(experiment: "Experiment") -> Iterator[str]:
    for name, arm in experiment.arms.items():
        if any("seed" in told for told in (arm.pretrain or {}, arm.finetune)):
            yield f"arm {name} has a seed of its own: the experiment's seeds go to every arm."


def _spenders(experiment: "Experiment") -> Iterator[str]:
    """Arms that spend on fine-tuning what another pretrains with: that other has to pretrain, and they must not."""
    for own, taker in experiment.arms.items():
        giver = experiment.arms.get(taker.spends)
        if taker.spends and (giver is None or giver.pretrain is None or taker.pretrain is not None):
            yield (
                f"arm {own} spends what '{taker.spends}' pretrains with: name an arm that has a pretraining, "
                f"and give {own} none."
            )


def _names(experiment: "Experiment") -> Iterator[str]:
    arms, sides = list(experiment.arms), [*experiment.arms, *experiment.groups]
    for name, group in experiment.groups.items():
        yield from (f"group {name}: {unknown('arm', arm, arms)}" for arm in group.arms if arm not in arms)
    for contrast in experiment.contrasts:
        for side in (contrast.treatment, contrast.baseline):
            if side not in sides:
                yield f"contrast {contrast.name}: {unknown('arm', side, sides)}"
    declared = [contrast.name for contrast in experiment.contrasts]
    for claim in experiment.claims:
        if claim.contrast not in declared:
            yield f"claim '{claim.title}': {unknown('contrast', claim.contrast, declared)}"
    for table in experiment.ablations:
        yield from (f"ablation {table.title}: {unknown('arm', r.arm, arms)}" for r in table.rows if r.arm not in arms)
