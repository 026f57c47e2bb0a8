"""MLflow's own pages of an experiment in a real browser: they show what somebody looks for, by our names and tags.

`make processes` runs it, where Chromium is installed.
"""

import os
import re
from html import unescape
from urllib.parse import quote

import pytest
from browser import opened, wanted

from benchmarks import toys
from benchmarks.faults.servers import Tracking
from entrypoints import main
from iqa import tracking
from iqa.tracking import store

pytestmark = [pytest.mark.processes, wanted, pytest.mark.timeout(600)]
DRAWN = ("--virtual-time-budget=20000",)  # the pages are drawn from what they fetch
SMALL = ["--compute.threads=1", "--device=cpu", "--batch_size=6", "--epochs=1", "--at_once=1"]
SIZES = ["--degrade.crop=32", "--finetune.crops.size=32", "--evaluate.crops.size=32"]


@pytest.fixture(scope="module")
def site(tmp_path_factory, photos):
    """A server with a finished experiment of two arms, which this process's environment names."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch, Tracking(folder, dict(os.environ)) as server:
        patch.chdir(folder)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", server.address)
        patch.setenv("IQA_CACHE", str(folder / "cache"))
        (folder / "toy.yaml").write_text(toys.EXPERIMENT)
        words = ["--experiment=toy.yaml", f"--data={photos}", f"--targets={photos}", *SMALL, *SIZES]
        assert main.main(words) == 0
        yield server.address


@pytest.fixture
def page(site, tmp_path):
    """Text that a page shows, once it is drawn."""

    def shown(address):
        dom, _, _ = opened(address, tmp_path / "browser", *DRAWN, width=2400)
        return unescape(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", dom, flags=re.DOTALL))

    return shown


def steps(stage):
    return [row for row in tracking.rows() if row.tags["stage"] == stage]


def test_the_table_of_an_experiment_s_runs_has_its_arms_and_their_results(page):
    told = page(tracking.table_url("toy", [row for row in tracking.rows() if row.parent]))
    rows = [row for row in tracking.rows() if row.parent]
    assert [row.name for row in rows if row.name not in told] == []
    for column in ("stage", "arm", "seed", "best/val_srcc", "final/ordering"):
        assert column in told, column


def test_the_plain_table_shows_the_experiment_with_its_steps_folded_away(page):
    (parent,) = steps("experiment")
    told = page(f"{store.ui()}/#/experiments/{parent.experiment_id}/runs?{store.TRAINING}")
    assert parent.name in told and not any(row.name in told for row in steps("finetune"))


def test_the_comparison_shows_the_curve_of_each_arm(page):
    models = steps("finetune")
    told = page(tracking.compare_url([row.run_id for row in models], ["val/srcc"]))
    assert len(models) == 2 and all(row.name in told for row in models) and "val/srcc" in told


def test_a_run_s_page_says_what_it_is_and_gives_its_data_and_command(page):
    row = steps("finetune")[0]
    told = page(tracking.url(row.run_id))
    assert row.name in told and "best/val_srcc" in told and row.tags["iqa.command"] in told


def test_a_model_s_page_ties_its_results_to_the_data_they_are_of(page, photos):
    row = steps("finetune")[0]
    found = store.client().search_logged_models([row.experiment_id], f"source_run_id = '{row.run_id}'")[0]
    told = page(f"{store.ui()}/#/experiments/{row.experiment_id}/models/{quote(found.model_id)}?{store.TRAINING}")
    assert found.name in told and f"test/{photos.name}/srcc" in told and photos.name in told
