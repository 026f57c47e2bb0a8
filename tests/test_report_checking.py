"""A report held against its runs, and the bundle that carries them."""

import csv
import json
import zipfile

import pytest

from iqa import report
from tests.report_toy import EXPERIMENT, make


@pytest.fixture
def store(tmp_path):
    (tmp_path / "runs").mkdir()
    return make(tmp_path / "runs")


@pytest.fixture
def written(store, tmp_path):
    store.build(tmp_path / "report")
    return tmp_path / "report"


def faults(store, folder):
    return report.check(folder, store.rows, store.history, store.fetch)


def test_a_report_just_written_has_no_faults(store, written):
    assert faults(store, written) == []


def test_a_deleted_run_is_named(store, written):
    gone = store.run("finetune", "baseline", 1)
    store.rows.remove(gone)
    assert any(gone.run_id in fault and "gone" in fault for fault in faults(store, written))


def test_a_metric_that_does_not_follow_from_its_predictions_is_named(store, written):
    row = store.run("finetune", "baseline", 1)
    row.metrics["test/sample/srcc"] += 0.01
    assert any(row.run_id in fault and "test/sample/srcc" in fault for fault in faults(store, written))


def test_a_number_altered_in_the_report_is_named(store, written):
    text = (written / "numbers.csv").read_text()
    line = next(line for line in text.splitlines() if line.startswith("cost/hours") or "cost/hours" in line)
    altered = line.replace("0.02", "0.03", 1).replace("0.01", "0.04", 1)
    (written / "numbers.csv").write_text(text.replace(line, altered, 1))
    found = faults(store, written)
    assert found and "cost/hours" in found[0]


def test_a_folder_without_a_report_is_refused_with_the_remedy(store, tmp_path):
    with pytest.raises(report.ReportError, match="write it first"):
        faults(store, tmp_path / "nothing")


def test_a_bundle_gives_every_number_again_without_the_store_and_has_the_same_bytes_twice(store, written, tmp_path):
    one, two = (
        report.pack(written, store.rows, store.history, store.fetch, tmp_path / name) for name in ("a.zip", "b.zip")
    )
    assert report.check_bundle(one) == [] and one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("what", ["prediction", "metric"])
def test_a_number_altered_in_a_bundle_is_named(store, written, tmp_path, what):
    packed = report.pack(written, store.rows, store.history, store.fetch, tmp_path / "a.zip")
    row = store.run("finetune", "baseline", 1)
    altered(packed, tmp_path / "b.zip", row.run_id, what)
    assert any(row.run_id in fault for fault in report.check_bundle(tmp_path / "b.zip"))


def altered(source, target, run, what):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if what == "prediction" and name == f"files/{run}/predictions/sample.csv":
                rows = list(csv.reader(content.splitlines()))
                rows[1][3] = "0.999"
                content = "\n".join(",".join(row) for row in rows) + "\n"
            if what == "metric" and name == "rows.json":
                rows = json.loads(content)
                next(row for row in rows if row["run_id"] == run)["metrics"]["test/sample/plcc"] += 0.1
                content = json.dumps(rows)
            new.writestr(name, content)


def test_a_file_that_is_no_bundle_is_refused(tmp_path):
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(report.ReportError, match="no bundle"):
        report.check_bundle(tmp_path / "a.zip")


def test_arms_keep_their_order_when_the_report_is_computed_again(store, tmp_path):
    """A table's rows are the arms as declared, also where that is not the order of the alphabet."""
    arms = dict(reversed(EXPERIMENT["arms"].items()))
    written = store.build(tmp_path / "turned", arms=arms).folder
    assert faults(store, written) == []
    packed = report.pack(written, store.rows, store.history, store.fetch, tmp_path / "turned.zip")
    assert report.check_bundle(packed) == []
