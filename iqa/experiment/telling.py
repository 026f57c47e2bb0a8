"""What the report is told about an experiment beside its runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqa import datasets, stages
from iqa.experiment import cells
from iqa.experiment.matrix import Plan

if TYPE_CHECKING:
    from iqa.experiment.running import Outcome


def describe(plan: Plan, outcome: "Outcome", command: str) -> dict[str, Any]:
    """The experiment as `report.build` takes it: plain values only, so that a bundle can carry them."""
    experiment = plan.experiment
    tuning = plan.finetuning(next(iter(experiment.arms)), experiment.seeds[0], fold=experiment.parts[0])
    data = cells.data(**tuning.data.model_dump())
    targets = stages.targets(plan.evaluation(""))
    done = {title: outcome.done[key] for title, key in outcome.placed.items() if key in outcome.done}
    return {
        "name": experiment.name,
        "title": experiment.title,
        "preset": plan.preset,
        "command": command,
        "declaration": experiment.declaration,
        "demonstration": experiment.demonstration,
        "arms": {name: arm.model_dump(mode="json") for name, arm in experiment.arms.items()},
        "groups": {name: group.model_dump(mode="json") for name, group in experiment.groups.items()},
        "seeds": list(experiment.seeds),
        "folds": list(experiment.parts) if experiment.folds or experiment.rounds else [],
        "resplit": [len(data.part(part)) for part in ("train", "test")] if experiment.rounds else [],
        "contrasts": [contrast.model_dump() for contrast in experiment.contrasts],
        "claims": [claim.model_dump() for claim in experiment.claims],
        "ablations": [table.model_dump(mode="json") for table in experiment.ablations],
        "images": {part: len(data.part(part)) for part in ("train", "validation", "test")},  # of the first fold
        "data": data.name,  # as in metrics: a folder's own name
        "targets": [one.name for one in targets],
        "runs": {title: done[title].run_id for title in sorted(done)},  # not in the order in which they ended
        "other_code": sorted({result.run_id for result in done.values() if result.other_code}),
        "commands": {cell.title: cells.repeat(cell) for cell in sorted(outcome.cells, key=lambda cell: cell.title)},
        "notes": list(experiment.notes),
        "notices": {one.name: text for one in (data, *targets) if (text := notice(one.root))},
        "failed": sorted(outcome.failed),
    }


def notice(root: Path) -> str:
    """What has to stand wherever a folder's pictures are shown; "" if it asks for nothing."""
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in datasets.notices(root))
    return "\n\n".join(text.strip() for text in texts)
