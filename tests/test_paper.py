"""The seed's experiment on the published trees in miniature: every cell of its report, and what holds it to account."""

import csv
import json
import zipfile
from importlib import import_module

import pytest
from published_trees import build

from iqa import tracking

pytestmark = [pytest.mark.processes, pytest.mark.timeout(1200)]
SETS = ("koniq", "spaq", "kadid", "agiqa")
TINY = ["--encoder=resnet10t", "--weights=random", "--model.hidden=32", "--model.embedding=16"]
SMALL = ["--degrade.crop=32", "--degrade.levels=3", "--finetune.crops.size=32", "--evaluate.crops.size=32"]
QUICK = ["--finetune.crops.grid=1", "--evaluate.crops.grid=1", "--batch_size=6", "--compute.threads=1", "--device=cpu"]
NATIVE = ["--data.input_size=native", "--targets.input_size=native", "--epochs=2", "--seeds=0-2"]
FULL = ["--loss=full", "--loss.m_rank=0.05"]


def run(name, *words):
    """A command in this process; its exit code."""
    return import_module(f"entrypoints.{name}").main(list(words))


@pytest.fixture(scope="module")
def words(tmp_path_factory, clip):
    """The paper's command line, made small enough for a test."""
    root = tmp_path_factory.mktemp("published")
    for name in SETS:
        build(name, root, 36)
    return [f"--data_root={root}", *TINY, *SMALL, *QUICK, *NATIVE, *FULL, f"--loss.text_model={clip}"]


def test_the_papers_report_has_a_value_in_every_place_and_answers_for_each_of_them(words, home, capsys):
    assert run("ablate", *words, "--at_once=2") == 0
    assert run("main", "--experiment=paper", *words, "--at_once=2") == 0
    (folder,) = (home / "reports").glob("paper-*")
    page = (folder / "report.md").read_text()
    assert "to fill:" not in page and "FILLED" not in page and "PENDING" not in page
    tables = {file.stem for file in (folder / "tables").glob("*.csv")}
    assert {"main", "cross", "claims", "ceiling", "chosen", "hypotheses"} <= tables
    assert {"ablation-Epochs", "ablation-Distortions", "ablation-Loss"} <= tables
    shown = list(csv.DictReader((folder / "numbers.csv").read_text(encoding="utf-8").splitlines()))
    assert len(shown) > 500 and all(line["runs"] for line in shown)

    assert run("report", "--experiment=paper", *words, "--bundle=paper.zip") == 0
    assert run("report", "--experiment=paper", *words, "--check") == 0
    assert run("report", "--check=paper.zip") == 0
    capsys.readouterr()
    what = altered(home / "paper.zip", home / "altered.zip")
    assert run("report", "--check=altered.zip") == 1 and what in capsys.readouterr().err

    from mlflow import MlflowClient

    gone = next(row for row in tracking.rows() if row.name == "baseline-2e-5 finetune seed 1")
    MlflowClient().delete_run(gone.run_id)
    assert run("report", "--experiment=paper", *words, "--check") == 1
    assert gone.run_id in capsys.readouterr().err


def altered(source, target):
    """A copy of a bundle in which one test metric of one run is another number; the metric's name."""
    with zipfile.ZipFile(source) as packed, zipfile.ZipFile(target, "w") as out:
        for name in packed.namelist():
            content = packed.read(name)
            if name == "rows.json":
                rows = json.loads(content)
                row = next(row for row in rows if row["tags"]["stage"] == "finetune")
                row["metrics"]["test/koniq/srcc"] += 0.01
                content = json.dumps(rows).encode()
            out.writestr(name, content)
    return "test/koniq/srcc"
