"""Each published set, as its archive unpacks, through verify, finetune and evaluate from the command line."""

import csv
import io
import os
from importlib import import_module

import pytest
from published_trees import BUILDERS, build, picture

from iqa import datasets, tracking

SMALL = ["--preset=smoke", "--compute.threads=1", "--device=cpu", "--crops.size=32"]


def run(name, *words):
    """A command in this process; its exit code."""
    return import_module(f"entrypoints.{name}").main(list(words))


def newest(stage):
    return next(row for row in tracking.rows() if row.tags["stage"] == stage)


@pytest.mark.parametrize("name", list(BUILDERS))
def test_a_published_set_is_verified_trained_on_and_evaluated(name, home, capsys):
    count = build(name, home / "data")
    where = [f"--data={name}", f"--data_root={home / 'data'}"]
    assert run("data", "verify", *where, f"--count={count}") == 0, capsys.readouterr().out
    protocol = [] if name in ("koniq", "kadid") else ["--protocol=kfold-5", "--data.fold=3"]
    assert run("finetune", *SMALL, *where, *protocol, "--batch_size=4", "--epochs=1") == 0
    tuned = newest("finetune")
    assert run("evaluate", *SMALL, f"--targets={name}", f"--data_root={home / 'data'}") == 0
    evaluated = newest("evaluate")
    for row in (tuned, evaluated):  # the whole set but what was trained on: the test part, whatever the protocol
        told = {"protocol": "kfold-5", "fold": 3} if protocol else {}
        tested = datasets.load(name, str(home / "data"), **told).part("test")
        assert [line["path"] for line in predictions(row, name)] == list(tested.table["path"])
    model = tracking.logged_model(tuned.run_id)
    digests = {(one.dataset_name, one.dataset_digest) for one in metrics_of_model(model)}
    assert digests == {(name, tested.digest)}
    assert len({one.run_id for one in metrics_of_model(model)}) == 2  # of the fine-tuning and of the evaluation


def predictions(row, name):
    """The lines of a run's predictions."""
    text = tracking.fetch(row.run_id, f"predictions/{name}.csv").read_text("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def metrics_of_model(model):
    from mlflow import MlflowClient

    return MlflowClient().get_logged_model(model).metrics


def inputs(row):
    """(context, tags) of a run's data sets."""
    from mlflow import MlflowClient

    told = [
        {tag.key: tag.value for tag in one.tags} for one in MlflowClient().get_run(row.run_id).inputs.dataset_inputs
    ]
    return {tags.pop("mlflow.data.context"): tags for tags in told}


def test_the_wrong_count_is_a_fault_and_two_the_exit_code(home, capsys):
    build("koniq", home / "data")
    assert run("data", "verify", "--data=koniq", f"--data_root={home / 'data'}") == 2
    said = capsys.readouterr().out
    assert "fault: 12 pictures can be used, where there should be 10,073\n1 fault\n" in said
    assert "deviation: koniq's pictures" in said and "split koniq-official: 6 / 2 / 4" in said


def test_pretraining_takes_several_sets_and_a_folder_without_scores(home, capsys):
    build("koniq", home / "data")
    build("kadid", home / "data")
    for i in range(5):
        picture(home / "data" / "loose" / f"{i}.png", 5000 + i)
    where = [f"--data_root={home / 'data'}", "--compute.threads=1", "--device=cpu", "--preset=smoke"]
    sizes = ["--degrade.crop=32", "--batch_size=4", "--families=jpeg", "--levels=2"]
    assert run("pretrain", *where, *sizes, "--data=koniq,loose", "--data.input_size=koniq=96x64,loose=48") == 0
    encoder = f"runs:/{newest('pretrain').run_id}/encoder"
    assert inputs(newest("pretrain"))["pretraining"] == {
        "protocol": "koniq-official+random-60-20-20",
        "images": "17",
        "input_size": "48 96x64",
        "deviations": "koniq's pictures are taken from 1024x768/, not from 512x384/ as published",
    }

    kadid = ["--data=kadid", "--crops.size=32", "--batch_size=4", f"--weights={encoder}"]
    assert run("finetune", *where, *kadid, "--data.input_size=64x48") == 0
    row = newest("finetune")
    assert row.metrics["test/kadid/seen/n"] == 2 and row.metrics["test/kadid/unseen/n"] == 4  # JPEG, of three kinds
    assert row.metrics["test/kadid/family/jpeg/n"] == 2 and row.metrics["test/kadid/unseen_groups/n"] == 4
    assert predictions(row, "kadid")[0].items() >= {"family": "gaussian_blur", "level": "0"}.items()


def test_what_was_pretrained_on_neither_validates_nor_tests(home, capsys):
    build("koniq", home / "data")
    where = [f"--data_root={home / 'data'}", "--compute.threads=1", "--device=cpu", "--preset=smoke", "--data=koniq"]
    small = ["--degrade.crop=32", "--batch_size=4", "--families=jpeg", "--levels=2", "--data.input_size=64x48"]
    assert run("pretrain", *where, *small, "--protocol=kfold-5", "--data.fold=0") == 0
    encoder = f"--weights=runs:/{newest('pretrain').run_id}/encoder"
    tune = [*where, encoder, "--crops.size=32", "--batch_size=4", "--data.input_size=64x48", "--protocol=kfold-5"]
    assert run("finetune", *tune, "--data.fold=2") == 2
    assert "pictures that validate or test here are among those that" in capsys.readouterr().err
    assert run("finetune", *tune, "--data.fold=0") == 0


def test_without_a_validation_part_the_last_epoch_is_taken_and_early_stopping_refused(home, capsys):
    build("koniq", home / "data")
    words = [*SMALL, "--data=koniq", f"--data_root={home / 'data'}", "--batch_size=4", "--data.input_size=64x48"]
    assert run("finetune", *words, "--protocol=koniq-8058") == 2
    assert "koniq-8058 of koniq has no validation part, so nothing can stop early" in capsys.readouterr().err
    assert run("finetune", *words, "--protocol=koniq-8058", "--optim.patience=0", "--epochs=2") == 0
    row = newest("finetune")
    assert row.metrics["best/epoch"] == 2 and not any(name.startswith("val/") for name in row.metrics)


def test_a_cache_changes_no_result(home, capsys):
    build("kadid", home / "data")
    words = ["--data=kadid", f"--data_root={home / 'data'}", "--data.input_size=64x48"]
    tune = [*SMALL, *words, "--batch_size=4"]
    assert run("finetune", *tune) == 0
    assert run("data", "prepare", *words, "--cache=yes") == 0
    assert "pixels: 30 written, 0 there already" in capsys.readouterr().out
    for file in (home / "data" / "kadid10k" / "images").glob("I*_*.png"):
        stamp = file.stat()
        file.write_bytes(bytes(stamp.st_size))  # of the same size and time, and unreadable: nobody opens it any more
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert run("finetune", *tune) == 0
    second, first = [row for row in tracking.rows() if row.tags["stage"] == "finetune"]
    one, other = ({k: v for k, v in row.metrics.items() if not k.startswith("cost/")} for row in (first, second))
    assert one == pytest.approx(other, rel=0, abs=0, nan_ok=True) and len(one) > 20
    assert first.tags["cell"] == second.tags["cell"]
