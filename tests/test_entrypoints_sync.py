"""Commands without a store: offline from the first step on, a store that goes away amid the work, and `sync`."""

import pytest

from benchmarks import toys
from entrypoints import command, finetune, main, sync
from iqa import tracking
from iqa.tracking import run as run_module
from iqa.tracking import shipping

SMALL = ["--preset=smoke", "--compute.threads=1", "--device=cpu", "--batch_size=6", "--epochs=1"]
TUNE = [*SMALL, "--crops.size=32", "--crops.grid=1"]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def shell(home, monkeypatch):
    """As in a shell: --offline sets a variable of this process, which a test must not leave to the next one."""
    monkeypatch.setenv("IQA_OFFLINE", "")
    monkeypatch.setattr(shipping, "RHYTHM", 0.02)


def back(monkeypatch, address):
    monkeypatch.setenv("IQA_OFFLINE", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)


@pytest.fixture
def away(monkeypatch):
    """No store answers; the address of the one that does later."""
    import os

    address = os.environ["MLFLOW_TRACKING_URI"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    return address


def test_without_a_store_a_command_ends_with_a_remedy(away, photos, capsys):
    assert finetune.main([*TUNE, f"--data={photos}"]) == command.BAD_INPUT
    error = capsys.readouterr().err
    assert "does not answer" in error and "offline=true" in error and "Traceback" not in error


def test_the_whole_experiment_and_its_report_go_offline_and_sync_sends_them(away, photos, home, monkeypatch, capsys):
    (home / "toy.yaml").write_text(toys.EXPERIMENT)
    sizes = ["--degrade.crop=32", "--finetune.crops.size=32", "--evaluate.crops.size=32"]
    words = ["--experiment=toy.yaml", "--at_once=1", f"--data={photos}", f"--targets={photos}", *SMALL[1:], *sizes]
    assert main.main([*words, "--offline"]) == 0
    assert "iqa sync" in capsys.readouterr().out
    assert main.main([*words, "--offline=true"]) == 0  # everything is reused
    assert capsys.readouterr().out.count("finished already") == 5
    back(monkeypatch, away)
    assert sync.main([]) == 0
    assert "none waits" in capsys.readouterr().out
    rows = tracking.rows()
    (parent,) = [row for row in rows if row.tags["stage"] == "experiment"]
    steps = [row for row in rows if row.tags["stage"] != "experiment"]
    assert len(steps) == 5 and {row.parent for row in steps} == {parent.run_id}
    assert {row.status for row in rows} == {"FINISHED"}
    assert tracking.fetch(parent.run_id, "report/report.html").is_file()
    assert sync.main([]) == 0 and capsys.readouterr().out == "0 runs were looked at, none waits\n"
    assert main.main(words) == 0
    assert capsys.readouterr().out.count("finished already") == 5  # the store knows them all


def test_a_store_that_is_gone_at_the_end_is_75_and_sync_finishes_it(photos, monkeypatch, capsys):
    monkeypatch.setattr(run_module, "PATIENCE", 0.3)
    import os

    address = os.environ["MLFLOW_TRACKING_URI"]

    def leaves(self, *record):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)

    monkeypatch.setattr("entrypoints.progress.Progress.__call__", leaves)
    assert finetune.main([*TUNE, f"--data={photos}"]) == command.TRY_AGAIN
    assert "are kept, and the entry point sync sends them" in capsys.readouterr().err
    assert sync.main([]) == command.TRY_AGAIN
    assert "1 runs still wait" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    (before,) = tracking.rows()
    assert before.status == "RUNNING"
    assert sync.main([]) == 0
    (after,) = tracking.rows()
    assert after.status == "FINISHED" and after.tags["iqa.model"] and "final/val_srcc" in after.metrics


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--folder=nowhere"], "there is no such folder"),
        (["--fodler=x"], "did you mean 'folder'"),
    ],
)
def test_bad_input_of_sync_is_a_sentence(words, sentence, capsys):
    assert sync.main(words) == command.BAD_INPUT
    assert sentence in capsys.readouterr().err


def test_offline_is_true_or_false(photos, capsys):
    assert finetune.main([*TUNE, f"--data={photos}", "--offline=perhaps"]) == command.BAD_INPUT
    assert "offline is true or false, not 'perhaps'" in capsys.readouterr().err
