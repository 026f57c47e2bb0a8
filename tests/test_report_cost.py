"""What the report says that it cost: times, GPU use, parameters and sizes, from what the runs left."""

from pathlib import Path

import pytest
from report_toy import Store, lines, make

from iqa.report import cost
from iqa.report.document import plain


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make(tmp_path)


def test_costs_are_computed_from_the_runs_and_sizes_from_the_manifests(store):
    times = lines(cost.time_table(store.evidence()))
    assert float(times[0]["Time mean"]) == pytest.approx(0.01)
    assert float(times[0]["Elapsed mean"]) == pytest.approx(1 / 60)
    assert plain(cost.time_table(store.evidence()).rows[0][1]) == "36.0 ± 0.0 s"
    assert plain(cost.size_table(store.evidence()).rows[0][2]) == "12.3 MB"


def test_gpu_use_is_a_dash_where_a_run_was_too_short_to_measure_it(store):
    for seed in (0, 1):
        store.run("finetune", "baseline", seed).metrics["cost/gpu_utilisation"] = 90.0
    shown = lines(cost.time_table(store.evidence()))
    assert [line.get("GPU use") for line in shown if line["Stage, model"] == "finetune, ImageNet"] == ["–"]
    store.run("finetune", "baseline", 2).metrics["cost/gpu_utilisation"] = 60.0
    shown = lines(cost.time_table(store.evidence()))
    assert [line["GPU use mean"] for line in shown if line["Stage, model"] == "finetune, ImageNet"] == ["80.0"]


def test_parameters_are_those_that_the_runs_counted(store):
    counted = {
        "pretrain": {"parameters/encoder": 3.4e6},
        "finetune": {"parameters/encoder": 3.4e6, "parameters/head": 5e5},
    }
    for stage, metrics in counted.items():
        store.run(stage, "pretrained", 0).metrics.update(metrics)
    told = {plain(row[0]): plain(row[1]) for row in cost.size_table(store.evidence()).rows}
    assert told == {
        "encoder, Quality": "3.40 M",
        "model, ImageNet": "–",  # its run is from before they were counted
        "head of it, ImageNet": "–",
        "model, Quality": "3.90 M (encoder 3.40 M, head 0.50 M)",
        "head of it, Quality": "0.50 M",
    }
    assert plain(cost.size_table(store.evidence()).rows[-1][2]) == "2.0 MB"


def test_that_no_machine_had_a_gpu_is_said_where_all_runs_tell_so(store):
    def said() -> bool:
        blocks = cost.cost(store.evidence()).sections[0].blocks
        return any("no GPU in these runs" in plain(getattr(block, "parts", ())) for block in blocks)

    assert not said()
    for row in store.rows:
        row.tags["machine.gpus"] = "0"
    assert said()
    store.rows[-1].tags["machine.gpus"] = "1"
    assert not said()
