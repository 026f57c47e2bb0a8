"""A report held against its runs, and the bundle that carries them."""

import csv
import json
import zipfile

import pytest

from iqa import report
from iqa.report import checking
from tests.report_toy import EXPERIMENT, make, url


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


@pytest.mark.parametrize(
    "name", ["report.html", "report.md", "tables/main.csv", "tables/main.tex", "figures/forest.csv"]
)
def test_a_page_a_table_or_a_figures_data_altered_by_one_digit_is_named(store, written, name):
    whole = report.check(written, store.rows, store.history, store.fetch, url)
    assert whole == []
    text = (written / name).read_text()
    at = max(text.rfind(digit) for digit in "012345678")
    (written / name).write_text(text[:at] + "9" + text[at + 1 :])
    [found] = report.check(written, store.rows, store.history, store.fetch, url)
    assert found.startswith(f"{name} is not what the runs give: line ")


def test_a_figure_that_is_gone_and_a_table_that_nothing_gives_are_named(store, written):
    (written / "figures" / "forest-delta-srcc.png").unlink()
    (written / "tables" / "best.csv").write_text("SRCC\n0.99\n")
    found = report.check(written, store.rows, store.history, store.fetch, url)
    assert found == [
        "tables/best.csv is no part of the report that the runs give",
        "figures/forest-delta-srcc.png is gone: write the report again",
    ]


def test_where_the_store_is_reached_is_no_part_of_what_is_held(store, written):
    assert report.check(written, store.rows, store.history, store.fetch, lambda run: f"https://elsewhere/{run}") == []


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_a_link_that_leads_to_another_run_is_named(store, written, name):
    text, run = (written / name).read_text(), store.run("finetune", "baseline", 1).run_id
    (written / name).write_text(text.replace(f"/runs/{run}", "/runs/deadbeef", 1))
    [found] = report.check(written, store.rows, store.history, store.fetch, url)
    assert found.startswith(f"{name} is not what the runs give: ") and "deadbeef" in found


def test_a_word_in_the_place_of_a_number_is_named(store, written):
    text = (written / "numbers.csv").read_text().splitlines()
    cells = next(csv.reader([text[1]]))
    (written / "numbers.csv").write_text("\n".join([text[0], text[1].replace(cells[2], "high"), *text[2:]]) + "\n")
    assert any("is high" in fault for fault in faults(store, written))


@pytest.mark.parametrize("key", ["test/optics/family/jpeg/srcc", "probe/10/plcc"])
def test_what_was_logged_of_a_family_and_of_a_probe_follows_from_predictions_too(store, key):
    stage, dataset = ("evaluate", "optics") if "family" in key else ("finetune", "sample")
    row = store.run(stage, "baseline", 1)
    lines = store.answers(row, dataset).read_text().splitlines()
    kinds = ["family,level", *["jpeg,1", "blur,1"] * 12]
    store.answers(row, dataset).write_text("\n".join(f"{a},{b}" for a, b in zip(lines, kinds, strict=True)) + "\n")
    store.answers(row, f"{dataset}-10").write_text("\n".join(lines) + "\n")
    row.metrics.update({"probe/10/srcc": row.metrics[f"test/{dataset}/srcc"]} if "probe" in key else {})
    row.metrics[key] = 0.123
    [found] = checking.recomputed(row, store.fetch)
    assert f"{key} is logged as 0.123" in found


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
