"""What a command says when its work is done: where the results are, and what to do with them next."""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def announce(report: Any, outcome: Any) -> None:
    """The headline, the report's path, and where the arms can be compared."""
    from iqa import tracking

    models = [
        outcome.done[cell.key].run_id for cell in outcome.cells if cell.stage == "finetune" and cell.key in outcome.done
    ]
    row = cache(outcome.runs.row)  # a run that was computed now is a question to the store
    print(f"\n{report.headline}")
    print(f"report: {report.folder / 'report.html'}")
    if models:
        print(f"compare the arms: {tracking.compare_url(models, ['val/srcc'], row)}")
    if outcome.done and not tracking.offline():
        tabled(outcome, row)


def tabled(outcome: Any, row: Callable[[str], Any]) -> None:
    """MLflow's table of the experiment's runs. The work is done: where the store refuses a table, that ends nothing."""
    from iqa import tracking

    name = outcome.cells[0].tags["experiment"]
    try:
        rows = [row(result.run_id) for result in outcome.done.values()]
        print(f"a table of its runs, with results as columns: {tracking.table_url(name, rows)}")
    except tracking.troubles() as error:
        print(f"MLflow's table has no columns for its runs: {tracking.troubled(error)}", file=sys.stderr)


def finish(name: str, run_id: str, preset: str) -> None:
    """Where the result lies, and what to do with it next."""
    from iqa import tracking

    if tracking.offline():
        print("nothing was sent: `iqa sync` does it when the store can be reached")
    artifact, follows = {"pretrain": ("encoder", "finetune"), "finetune": ("model", "evaluate")}.get(name, ("", ""))
    print(f"run {run_id}: {tracking.url(run_id)}")
    if artifact:
        print(f"next: mlflow run . -e {follows} -P preset={preset} -P weights=runs:/{run_id}/{artifact}")
    if artifact == "model":
        print(f"or any pictures: iqa score PATHS… --model=runs:/{run_id}/model")
