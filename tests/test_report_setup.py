"""What the report says of how an experiment was made: method, machine, images, checkpoints, deviations."""

from pathlib import Path

import pytest
from report_toy import Store, lines, make, words

from iqa.report import appendix, provenance, setup
from iqa.report.document import plain


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make(tmp_path)


def test_an_encoder_that_the_config_left_to_the_weights_is_named_as_the_run_named_it(store):
    for row in store.rows:
        row.tags["encoder"] = "resnet50"
    assert "Model: resnet50" in words(setup.methodology(store.evidence()))


def test_machine_and_packages_come_from_what_the_runs_left(store):
    said = words(setup.setup(store.evidence()))
    assert "cpu: Toy CPU" in said
    assert "torch: 2.14.1" in said
    store.rows = []
    assert words(setup.setup(store.evidence())).count("Not recorded by the runs.") == 2


def test_the_overview_says_how_many_images_each_part_has_and_whether_every_cell_has_its_run(store):
    told = words(setup.overview(store.evidence(images={"train": 7058, "validation": 1000})))
    assert "Data: sample; images: 7,058 train, 1,000 validation" in told and "Status: complete, 15 cells" in told
    store.without("finetune", "baseline", 1)
    assert "Status: 1 of 15 cells lacks a finished run" in words(setup.overview(store.evidence()))


def test_the_stages_say_optimizer_schedule_loss_and_training_images(store):
    for row in store.rows:
        row.params.update({"optim.weight_decay": "0.0002", "optim.floor": "0.1"})
        row.params.update({"optim.batch_size": "8", "optim.encoder_lr_ratio": "0.1"})
    kept = store.answers(store.run("pretrain", "pretrained", 0), "encoder").parent / "encoder"
    kept.mkdir()
    (kept / "state.json").write_text('{"origin": {"seen": ["a", "b", "c"]}}')
    first, second = (words(part) for part in setup.methodology(store.evidence()).sections)
    assert "Training images: 3" in first and "Training images" not in second
    assert "Loss: L1, the mean absolute error" in second
    assert (
        "Images a batch (each is seen 2 × levels times): 8" in first
        and "rate of the encoder over the head's: 0.1" in second
    )
    for text in (first, second):
        assert "AdamW, weight decay: 0.0002" in text and "last rate over first: 0.1" in text


def test_every_method_of_the_original_experiment_has_its_reference(store):
    told = words(provenance.references())
    assert all(source in told for source in ("arXiv:2403.11176", "HyperIQA", "arXiv:2103.14030"))


def test_every_model_and_the_encoder_it_began_with_is_named_as_weights_takes_it(store):
    pretrained, tuned = (store.run(stage, "pretrained", 0) for stage in ("pretrain", "finetune"))
    tuned.params["model.weights"] = f"runs:/{pretrained.run_id}/encoder"
    store.without("finetune", "pretrained", 2)
    table = provenance.checkpoints(store.evidence(commands={"pretrained finetune seed 2": "this command"}))
    told = [line for line in lines(table) if line["Model"] == "Quality"]
    assert told[0]["Encoder"] == f"runs:/{pretrained.run_id}/encoder"
    assert told[0]["Whole model"] == f"runs:/{tuned.run_id}/model"
    assert told[0]["runs"].split() == [pretrained.run_id, tuned.run_id]
    assert told[-1]["to fill"] == "this command"
    store.rows = []
    assert [plain(row[-1]) for row in provenance.checkpoints(store.evidence(command="all")).rows] == [
        "to fill: all"
    ] * 2


def test_params_that_differ_between_seeds_are_all_shown(store):
    store.run("finetune", "baseline", 2).params["optim.head_lr"] = "0.5"
    found = next(
        line for line in lines(setup.hyperparameters(store.evidence(), "finetune")) if "head_lr" in line["Field"]
    )
    assert (found["ImageNet"], found["Quality"]) == ("0.001 / 0.5", "0.001")


def test_code_that_was_not_committed_is_a_deviation(store):
    store.run("finetune", "baseline", 2).tags["git.dirty"] = "true"
    assert "1 of 15 runs were made from a working tree" in words(provenance.notes(store.evidence()))


def test_fields_that_are_not_the_original_experiments_are_listed_with_both_values(store):
    for row in store.rows:
        if row.tags["stage"] == "finetune":
            weights = "runs:/abc/encoder" if row.tags["arm"] == "pretrained" else "timm"
            row.params.update({"optim.weight_decay": "2e-4", "optim.batch_size": "8", "model.weights": weights})
    pretrain, finetune = (lines(table) for table in appendix.differing(store.evidence()))
    assert [line["Field"] for line in pretrain] == ["data.name", "model.encoder", "optim.epochs"]
    told = {line["Field"]: (line["Original"], line["ImageNet"], line["Quality"]) for line in finetune}
    assert told["optim.batch_size"] == ("96", "8", "8") and told["optim.head_lr"] == ("5e-05", "0.001", "0.001")
    assert not told.keys() & {"seed", "optim.weight_decay", "model.weights"}


def test_notes_without_a_failed_run_do_not_read_as_if_nothing_deviated(store):
    told = provenance.notes(store.evidence(notes=[]))
    assert told.title == "Failed runs and notes" and words(told) == "No run failed, and nothing was noted."
