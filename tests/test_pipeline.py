"""The whole chain on a CPU: commands, nested runs, reuse, failures, `mlflow run`, the study."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import toys
from iqa import tracking
from iqa.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent
SMALL = ["--compute.threads=1", "--device=cpu", "--batch_size=6", "--epochs=1"]
FINETUNE = [*SMALL, "--crops.size=32", "--crops.grid=1"]
FILE = toys.EXPERIMENT.replace("seeds: [0]", "seeds: [0, 1]")


def run(name, *words):
    """A command in this process; its exit code."""
    from importlib import import_module

    return import_module(f"entrypoints.{name}").main(list(words))


@pytest.fixture
def toy(home, photos):
    """The words of a small experiment on the toy photographs."""
    (home / "toy.yaml").write_text(FILE)
    sizes = ["--degrade.crop=32", "--finetune.crops.size=32", "--evaluate.crops.size=32"]
    return ["--experiment=toy.yaml", "--at_once=1", f"--data={photos}", f"--targets={photos}", *SMALL, *sizes]


def test_the_experiment_leaves_one_parent_its_steps_and_a_report(toy, capsys):
    assert run("main", *toy) == 0
    rows = tracking.rows()
    parents = [row for row in rows if row.tags["stage"] == "experiment"]
    assert len(parents) == 1 and {row.status for row in rows} == {"FINISHED"}
    steps = sorted(row.tags["stage"] for row in rows if row.parent == parents[0].run_id)
    assert steps == ["evaluate"] * 4 + ["finetune"] * 4 + ["pretrain"] * 2
    said = capsys.readouterr().out
    assert "a table of its runs, with results as columns: http" in said and "viewStateShareKey=iqa-" in said
    assert "compare the arms: http" in said and "report.html" in said and "undecided" in said
    assert "Toys decide nothing" in tracking.fetch(parents[0].run_id, "report/report.html").read_text()

    assert run("main", *toy) == 0  # the same command again: nothing is computed, nothing is added
    assert {row.run_id for row in tracking.rows()} == {row.run_id for row in rows}
    assert capsys.readouterr().out.count("reused") == 10

    assert run("report", *(word for word in toy if word != "--at_once=1")) == 0
    new = [row for row in tracking.rows() if row.run_id not in {old.run_id for old in rows}]
    assert [row.tags["stage"] for row in new] == ["report"]


def test_seeds_that_were_added_after_results_are_told_and_leave_the_marks_open(toy):
    assert run("main", *toy, "--seeds=0") == 0
    assert run("main", *toy, "--seeds=1") == 0
    found = [
        json.loads(file.read_text())
        for file in sorted(Path("reports").glob("toy-*/experiment.json"), key=os.path.getmtime)
    ]
    first = [row.run_id for row in tracking.rows(tags={"seed": "0"}) if row.tags["stage"] in ("finetune", "evaluate")]
    assert found[0]["redeclared"] == [] and sorted(found[1]["redeclared"]) == sorted(first)


def test_a_failing_cell_is_written_down_and_stops_no_other(toy, home, capsys):
    (home / "toy.yaml").write_text(FILE.replace("title: ImageNet encoder", "title: X, finetune: {head_lr: 1.0e+30}"))
    assert run("main", *toy, "--seeds=0") == 1
    statuses = {(row.tags.get("arm"), row.tags["stage"]): row.status for row in tracking.rows()}
    assert statuses[("baseline", "finetune")] == "FAILED"
    assert statuses[("pretrained", "evaluate")] == "FINISHED"
    assert statuses[(None, "experiment")] == "FAILED"  # as its exit code says, with its report all the same
    assert "lower the learning rate" in capsys.readouterr().err


def test_a_finished_cell_that_lost_its_artifact_stops_no_other_and_is_computed_again_when_forced(toy, capsys):
    assert run("main", *toy, "--seeds=0") == 0
    encoder = next(row for row in tracking.rows() if row.tags["stage"] == "pretrain")
    shutil.rmtree(tracking.fetch(encoder.run_id, "encoder"))
    capsys.readouterr()
    assert run("main", *toy, "--seeds=0") == 1
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 1 and "has no artifact 'encoder'" in failed[0]
    assert "--force='pretrained pretrain seed 0' computes it again" in failed[0]
    assert run("main", *toy, "--seeds=0", "--force=pretrained pretrain seed 0") == 0
    assert capsys.readouterr().out.count("reused") == 4, "the same encoder again: everything after it is there"


def test_the_stages_chain_by_run_id_and_a_bare_evaluation_takes_the_newest(home, photos, capsys):
    assert run("pretrain", "--preset=smoke", f"--data={photos}", "--degrade.crop=32", *SMALL) == 0
    encoder = capsys.readouterr().out.rsplit("weights=", 1)[1].strip()
    assert run("finetune", "--preset=smoke", f"--data={photos}", f"--weights={encoder}", *FINETUNE) == 0
    tuned = next(row for row in tracking.rows() if row.tags["stage"] == "finetune")
    assert tuned.params["model.weights"] == encoder
    sizes = ["--compute.threads=1", "--crops.size=32"]
    assert run("evaluate", "--preset=smoke", f"--targets={photos}", *sizes) == 0
    assert tuned.run_id in capsys.readouterr().out


def test_a_finished_stage_run_again_is_a_new_run(home, photos):
    words = ["--preset=smoke", f"--data={photos}", "--degrade.crop=32", "--epochs=0", "--compute.threads=1"]
    assert run("pretrain", *words) == run("pretrain", *words) == 0
    assert len(tracking.rows()) == 2 and len({row.tags["cell"] for row in tracking.rows()}) == 1


def test_a_study_nests_its_trials_and_goes_on_by_its_name(home, photos, monkeypatch, capsys):
    monkeypatch.setenv("OPTUNA_STORAGE", f"sqlite:///{home}/optuna.db")
    words = ["--preset=smoke", f"--data={photos}", *FINETUNE]
    assert run("study", "--name=encoder_lr_ratio", "--trials=2", *words) == 0
    assert run("study", "--name=encoder_lr_ratio", "--trials=3", *words) == 0
    rows = tracking.rows()
    parent = next(row for row in rows if row.tags["stage"] == "study")
    assert [row.parent for row in rows if row.tags["stage"] == "trial"] == [parent.run_id] * 3
    assert "best/val_srcc" in parent.metrics and "best of 3 trials" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["pretrain", "finetune", "evaluate", "main", "report", "study"])
def test_an_unknown_parameter_ends_with_two_and_leaves_nothing_running(name, home, capsys):
    assert run(name, "--preset=smoke", "--epocs=3") == 2
    assert "'epocs' is no parameter" in capsys.readouterr().err
    assert all(row.status != "RUNNING" for row in tracking.rows()) and not (home / "runs").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--data=nowhere"], "there is no data set 'nowhere'"),
        (["--epochs=many"], "optim.epochs = 'many'"),
        (["--weights=nowhere.pth"], "no weights at nowhere.pth"),
        (["--weights=runs:/nothing/encoder"], "nothing"),
        (["--data=sampel"], "did you mean 'sample'"),
        (["stray"], "'stray' belongs to no parameter"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_two(words, sentence, home, photos, capsys):
    data = [] if words[0].startswith("--data") else [f"--data={photos}"]
    assert run("finetune", "--preset=smoke", *data, *words) == 2
    errors = capsys.readouterr().err
    assert sentence in errors and "Traceback" not in errors


@pytest.mark.processes
@pytest.mark.timeout(300)  # two processes of mlflow, each of which imports everything
def test_mlflow_run_finishes_and_fails_as_its_command_does(home, photos):
    words = [f"-Pdata={photos}", "-Ppreset=smoke", "-Pepochs=1", "-Pbatch_size=6", "-Pcrops.size=32", "-Pdevice=cpu"]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "IQA_RUNS": str(home / "runs"),
        "OMP_NUM_THREADS": "1",
    }

    def mlflow_run(*more):
        command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "finetune", "--env-manager", "local"]
        return subprocess.run([*command, *words, *more], capture_output=True, text=True, env=environment, check=False)

    good = mlflow_run()
    assert good.returncode == 0, good.stderr
    assert [row.status for row in tracking.rows()] == ["FINISHED"]
    bad = mlflow_run("-Pepocs=1")
    assert bad.returncode != 0 and "did you mean 'epochs'" in bad.stderr
    from mlflow import MlflowClient

    found = MlflowClient().search_runs([MlflowClient().get_experiment_by_name(home.name).experiment_id])
    assert sorted(one.info.status for one in found) == ["FAILED", "FINISHED"]


def test_every_command_has_an_entry_point():
    assert set(COMMANDS) == {file.stem for file in (ROOT / "entrypoints").glob("*.py")} - {
        "__init__",
        "command",
        "ending",
        "processes",
        "progress",
        "stage",
    }
