"""MLflow's table of an experiment's runs, opened with columns that say how they went."""

import json
from dataclasses import replace

from tracking_toy import opened

from iqa import tracking
from iqa.tracking import store


def rows(home, *runs):
    """The rows of finished runs with these tags and metrics."""
    made = []
    for at, (tags, metrics) in enumerate(runs):
        with opened(home / f"run{at}", tags=tags) as run:
            run.metrics(metrics, 1)
        made.append(tracking.row(run.run_id))
    return made


def view(address):
    """What the address leads to: the tag that MLflow's page reads."""
    key = address.partition("viewStateShareKey=")[2].partition("&")[0]
    (experiment,) = store.client().search_experiments(filter_string=f"name = '{store.experiment_name('')}'")
    return json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])


def test_the_columns_are_the_tags_and_results_that_the_runs_have(home):
    pretrained = ({"arm": "a", "seed": "0"}, {"final/ordering": 0.9, "train/loss": 1.0})
    tuned = ({"arm": "a", "seed": "0"}, {"test/koniq/srcc": 0.8, "test/koniq/by/blur/srcc": 0.7, "cost/hours": 1.0})
    address = tracking.table_url("paper", rows(home, pretrained, tuned))
    assert address.endswith("viewStateShareKey=iqa-paper&workflowType=machine_learning")
    assert view(address)["selectedColumns"] == [
        *("tags.`stage`", "tags.`arm`", "tags.`seed`"),
        *("metrics.`final/ordering`", "metrics.`test/koniq/srcc`"),
    ]


def test_it_shows_the_steps_of_that_experiment_unfolded(home):
    step, parent, other = rows(
        home,
        ({"arm": "a", "experiment": "paper"}, {"cost/hours": 1.0}),
        ({"experiment": "paper"}, {}),
        ({"arm": "a", "experiment": "demo"}, {}),
    )
    assert f"/experiments/{step.experiment_id}/" in tracking.table_url(
        "paper", [replace(other, experiment_id="0"), step]
    )
    found = store.client().search_runs([step.experiment_id], view(tracking.table_url("paper", [step]))["searchFilter"])
    assert [run.info.run_id for run in found] == [step.run_id]
