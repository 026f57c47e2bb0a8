"""How busy the machine is: sampled into the journal beside a run, without touching its epochs."""

import threading
import time

import pytest
from tracking_toy import arrived, opened

from iqa import tracking
from iqa.tracking import shipping, system
from iqa.tracking.journal import Journal, entries


@pytest.fixture(autouse=True)
def watched(home, monkeypatch):
    """A store, no pauses, and a sample every 20 ms: conftest.py has them off elsewhere."""
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.02")


def samples(folder):
    """(step, values) of each sample."""
    written = (entry for entry in entries(folder) if entry["what"] == "metrics")
    return [(entry["step"], entry["values"]) for entry in written if any("system/" in key for key in entry["values"])]


def test_a_run_shows_processor_memory_disk_and_network_under_mlflows_names(tmp_path):
    with opened(tmp_path / "run") as run:
        arrived(lambda: samples(tmp_path / "run"))
    values = tracking.row(run.run_id).metrics
    assert {
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_megabytes",
        "system/disk_available_megabytes",
        "system/network_receive_megabytes",
    } <= set(values)
    assert 0 < values["system/system_memory_usage_percentage"] <= 100


def test_a_run_that_goes_on_continues_its_curve_by_the_seconds_it_was_worked_at(tmp_path):
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "run") as run:
        arrived(lambda: samples(tmp_path / "run"))
        time.sleep(1)  # of work: a step is a second
        raise KeyboardInterrupt
    before = samples(tmp_path / "run")
    with opened(tmp_path / "run") as again:
        arrived(lambda: samples(tmp_path / "run")[-1][0] > before[-1][0])
    steps = [step for step, _ in samples(tmp_path / "run")]
    assert again.run_id == run.run_id and steps == sorted(set(steps))


def test_samples_are_no_epochs(tmp_path):
    journal = Journal(tmp_path)
    journal.start(stage="pretrain")
    journal.metrics({"system/cpu_utilization_percentage": 50.0}, 1)
    assert not journal.measured(1)
    journal.metrics({"train/loss": 1.0}, 1)
    assert journal.measured(1)


def test_nothing_is_sampled_where_mlflow_is_told_not_to(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    with opened(tmp_path / "run"):
        assert all(one.name != "system metrics" for one in threading.enumerate())


@pytest.mark.parametrize("told", ["10s", "0", "-1", "nan", "inf"])
def test_an_interval_that_is_none_is_refused_before_anything_begins(told, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", told)
    with pytest.raises(ValueError, match=f"a number of seconds above 0, not '{told}'"):
        opened(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_is_written_behind_a_run_s_end_by_a_probe_that_hangs(tmp_path, monkeypatch):
    asked, leave = threading.Event(), threading.Event()

    class Hangs:
        def collect_metrics(self):
            asked.set()
            leave.wait(30)

        def aggregate_metrics(self):
            return {"cpu_utilization_percentage": 1.0}

        def clear_metrics(self):
            pass

    monkeypatch.setattr(system, "monitors", lambda: [Hangs()])
    with opened(tmp_path / "run"):
        assert asked.wait(30)
    watching = next(one for one in threading.enumerate() if one.name == "system metrics")
    leave.set()
    watching.join(30)
    assert samples(tmp_path / "run") == [] and tracking.is_finished(tmp_path / "run")


def test_a_gpus_mean_use_is_a_cost_of_the_run(tmp_path, monkeypatch):
    class Gpu:
        def __init__(self):
            self.uses = iter([40.0, 80.0])

        def collect_metrics(self):
            pass

        def aggregate_metrics(self):
            use = next(self.uses, None)
            return {} if use is None else {"gpu_0_utilization_percentage": use, "gpu_0_power_usage_watts": 300.0}

        def clear_metrics(self):
            pass

    monkeypatch.setattr(system, "monitors", lambda: [Gpu()])
    with opened(tmp_path / "run") as run:
        arrived(lambda: run.usage() == {"cost/gpu_utilisation": 60.0})


def test_a_machine_without_a_gpu_has_no_such_cost(tmp_path):
    with opened(tmp_path / "run") as run:
        arrived(lambda: samples(tmp_path / "run"))
        assert run.usage() == {}
