"""The best trial of a study as a preset."""

from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import yaml

from iqa import config, experiment

from .claims import Desk
from .opening import found
from .order import Order
from .summary import counts
from .worker import Say


def best(order: Order, address: str, grace: int, say: Say) -> Path:
    """Write the search's own preset with the best values in their place: STUDY.yaml in the working directory."""
    desk = found(order, address, grace)
    with closing(desk.database):
        return written(desk, say)


def written(desk: Desk, say: Say) -> Path:
    """The preset of a study's best trial. Raises ValueError where a file of that name is something else."""
    order = desk.order
    number = counts(desk.last())
    if not number["complete"]:
        raise ValueError(f"The study {order.study} has no complete trial yet: search first, without action=best.")
    found = desk.study.best_trial
    file, ours = Path(f"{order.study}.yaml"), f"# The best of the study {order.study}:"
    if file.exists() and not file.read_bytes().startswith(ours.encode()):
        raise ValueError(f"{file} is there and no preset of this study: move it away, then give the same command.")
    said = (
        f"{ours} trial {found.number}, validation SRCC {found.value:.4f}, of "
        f"{number['complete']} complete, {number['pruned']} pruned and {number['failed']} failed trials.\n"
    )
    values = yaml.safe_dump(sections(order, found.params), sort_keys=False, allow_unicode=True)
    file.write_text(said + values, encoding="utf-8")
    stage = "finetune" if order.arm_of(suggested(order, found.params)).pretrain is None else "pretrain"
    say(f"{file} is written. next: mlflow run . -e {stage} -P preset={file}")
    return file


def suggested(order: Order, params: dict[str, Any]) -> Any:
    """What a study suggests for these values."""
    return order.space.suggest(optuna.trial.FixedTrial(params))


def sections(order: Order, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{stage: its values}: the preset's, then the command's, then the arm's and the trial's."""
    arm = order.arm_of(suggested(order, params))
    own = {"pretrain": arm.pretrain or {}, "finetune": arm.finetune, "evaluate": {}}
    given = experiment.by_stage(order.overrides)
    merged = {
        stage: values | config.dotted(stage, given[stage]) | config.dotted(stage, own[stage])
        for stage, values in config.read_preset(order.preset).items()
    }
    typed = {stage: config.flatten(config.build(stage, told)) for stage, told in merged.items()}
    return {stage: {name: typed[stage][name] for name in told} for stage, told in merged.items()}
