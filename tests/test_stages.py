"""The stages on a toy folder: what they yield, what they leave, and that nothing but the config decides it."""

import copy
import math
import re
import shutil

import pytest
import torch
from stage_toy import TINY, Recorded, StopsAt, done, equal, settings, weights

from iqa import checkpoint, config, datasets, encoders, tracking
from iqa.stages import stage, targets
from iqa.stages.state import State
from iqa.stages.training import Diverged


@pytest.fixture(autouse=True)
def in_cache(home):
    """Hashes of this test's data stay in its own folder."""


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """name → records and artifact of an uninterrupted run of a stage with the plain settings, made once."""
    made = {}

    def run(name):
        if name not in made:
            made[name] = done(name, settings(name, photos), tracking.Silent(tmp_path_factory.mktemp(name)))
        return made[name]

    return run


def test_pretraining_yields_a_record_an_epoch_and_leaves_an_encoder(photos, tmp_path):
    run = Recorded(tmp_path / "run")
    records, folder = done("pretrain", settings("pretrain", photos), run)
    assert len(records) == 2
    assert {"train/loss", "train/consistency", "train/ranking", "val/ordering", "val/score_spread"} <= records[0].keys()
    assert {f"val/ordering/{family}" for family in ("jpeg", "brighten", "darken")} <= records[0].keys()
    assert ("final/ordering", 2) in run.values and ("cost/hours", 2) in run.values
    tensors = weights(folder, "encoder")
    learned = [t.numel() for name, t in tensors.items() if t.is_floating_point() and "running_" not in name]
    assert run.values[("parameters/encoder", 2)] == sum(learned)
    assert encoders.build("", str(folder)).loaded["missing"] == 0


def test_pretraining_moves_the_encoder(whole):
    _, folder = whole("pretrain")
    before = encoders.build("", "bundled").state_dict()
    after = weights(folder, "encoder")
    assert not torch.equal(before["net.conv_stem.weight"], after["net.conv_stem.weight"])
    assert torch.equal(before["net.bn1.running_mean"], after["net.bn1.running_mean"])  # statistics stay frozen


def test_no_epochs_leave_the_encoder_as_it_was(photos, tmp_path):
    records, folder = done("pretrain", settings("pretrain", photos, epochs="0"), tracking.Silent(tmp_path))
    assert records == [] and equal(weights(folder, "encoder"), encoders.build("", "bundled").state_dict())


def test_a_margin_that_no_embedding_can_reach_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="cannot be satisfied with 3 levels"):
        done("pretrain", settings("pretrain", photos, loss__m_rank="1.01"), tracking.Silent(tmp_path))


def test_fine_tuning_yields_its_curves_and_leaves_a_tested_model(photos, tmp_path):
    run = Recorded(tmp_path / "run")
    records, folder = done("finetune", settings("finetune", photos), run)
    name = photos.name
    assert len(records) == 3
    assert {"train/loss", "train/srcc", "val/srcc", "val/plcc", f"test/{name}/epoch_srcc", "lr/head"} <= records[
        0
    ].keys()
    best = run.values[("best/epoch", 3)]
    assert {
        (f"test/{name}/{metric}", best) for metric in ("srcc", "krcc", "plcc", "rmse", "srcc_low")
    } <= run.values.keys()
    assert (tmp_path / "run" / "predictions" / f"{name}.csv").read_text().startswith("path,group,score,prediction")
    assert checkpoint.read(folder, kind="model")["origin"]["data_name"] == name


def test_fine_tuning_learns_the_noise_of_the_toy(photos, tmp_path):
    told = settings("finetune", photos, epochs="4", crops__size="48", encoder_lr_ratio="0.3")
    records, _ = done("finetune", told, tracking.Silent(tmp_path))
    assert records[-1]["train/loss"] < 0.7 * records[0]["train/loss"]


def test_the_best_epoch_is_the_validation_parts(photos, tmp_path):
    run = Recorded(tmp_path / "run")
    records, _ = done("finetune", settings("finetune", photos), run)
    values = [record["val/srcc"] for record in records]
    assert run.values[("best/epoch", 3)] == 1 + values.index(max(values))


@pytest.mark.parametrize(("name", "kind"), [("pretrain", "encoder"), ("finetune", "model")])
def test_the_same_config_gives_the_same_bits(name, kind, whole, photos, tmp_path):
    _, again = done(name, settings(name, photos), tracking.Silent(tmp_path))
    assert equal(weights(whole(name)[1], kind), weights(again, kind))


@pytest.mark.parametrize(
    ("name", "kind", "stop"), [("pretrain", "encoder", 4), ("pretrain", "encoder", 5), ("finetune", "model", 6)]
)
def test_a_run_stopped_within_an_epoch_ends_as_the_uninterrupted_one(name, kind, stop, whole, photos, tmp_path):
    told = settings(name, photos)
    records, uninterrupted = whole(name)
    with pytest.raises(tracking.Stopped):
        done(name, told, StopsAt(tmp_path / "stopped", stop))
    later, resumed = done(name, told, tracking.Silent(tmp_path / "stopped"))
    assert equal(weights(uninterrupted, kind), weights(resumed, kind))
    assert len(later) == len(records) - (stop - 1) // 4  # four steps an epoch: only unfinished ones come again
    assert {k: v for k, v in later[-1].items() if "cost" not in k} == pytest.approx(
        {k: v for k, v in records[-1].items() if "cost" not in k}, nan_ok=True, abs=0
    )


def test_a_checkpoint_whose_epochs_the_journal_has_lost_is_not_gone_on_from(whole, photos, tmp_path):
    class Forgetful(Recorded):
        def vouches(self, epochs):
            return False

    told = settings("finetune", photos)
    with pytest.raises(tracking.Stopped):
        done("finetune", told, StopsAt(tmp_path / "stopped", 6))
    records, again = done("finetune", told, Forgetful(tmp_path / "stopped"))
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert equal(weights(whole("finetune")[1], "model"), weights(again, "model"))


def test_micro_batches_change_the_weights_by_rounding_only(photos, tmp_path):
    one = done("finetune", settings("finetune", photos, epochs="1"), tracking.Silent(tmp_path / "a"))[1]
    told = settings("finetune", photos, epochs="1", compute__micro_batch="2")
    other = done("finetune", told, tracking.Silent(tmp_path / "b"))[1]
    first, second = weights(one, "model"), weights(other, "model")
    assert max(float((first[key] - second[key]).abs().max()) for key in first) < 2.1e-3  # Adam's first steps: ± rate


def test_early_stopping_ends_the_training_when_patience_is_over(photos, tmp_path):
    told = settings("finetune", photos, epochs="8", optim__patience="1", head_lr="1e-12")
    records, _ = done("finetune", told, tracking.Silent(tmp_path))
    assert len(records) < 8


def test_a_loss_that_is_no_number_ends_with_a_remedy_and_no_checkpoint(photos, tmp_path):
    with pytest.raises(Diverged, match="lower the learning rate"):
        done("finetune", settings("finetune", photos, head_lr="1e30"), tracking.Silent(tmp_path))


def test_evaluation_scores_whole_sets_and_only_the_test_part_of_the_models_own(photos, tmp_path):
    _, model = done("finetune", settings("finetune", photos, epochs="1"), tracking.Silent(tmp_path / "run"))
    told = config.load("evaluate", TINY | {"weights": str(model), "targets": str(photos), "crops.size": "32"}, "smoke")
    run = tracking.Silent(tmp_path / "evaluated")
    records = list(stage("evaluate")(told, run))
    rows = (tmp_path / "evaluated" / "predictions" / f"{photos.name}.csv").read_text().splitlines()
    assert len(rows) - 1 == len(datasets.load(str(photos)).part("test")) < 30
    assert math.isfinite(records[0][f"test/{photos.name}/rmse"])

    equal = shutil.copytree(photos, tmp_path / "equal")
    table = equal / "scores.csv"
    head, *lines = table.read_text().splitlines()
    table.write_text("\n".join([head, *(re.sub(",.*,", ",50,", line) for line in lines)]))
    told = config.load("evaluate", TINY | {"weights": str(model), "targets": str(equal), "crops.size": "32"}, "smoke")
    with pytest.raises(datasets.DataError, match=r"equal: all \d scores are 50: give scores that differ"):
        list(stage("evaluate")(told, run))


def test_evaluating_an_encoder_is_refused(photos, tmp_path):
    _, encoder = done("pretrain", settings("pretrain", photos, epochs="0"), tracking.Silent(tmp_path))
    told = config.load("evaluate", TINY | {"weights": str(encoder), "targets": str(photos)}, "smoke")
    with pytest.raises(checkpoint.CheckpointError, match="kind 'encoder'"):
        list(stage("evaluate")(told, tracking.Silent(tmp_path)))


def test_a_batch_larger_than_the_data_is_refused_before_anything_is_computed(photos, tmp_path):
    with pytest.raises(ValueError, match="larger than the data"):
        done("finetune", settings("finetune", photos, batch_size="64"), tracking.Silent(tmp_path))
    assert not (tmp_path / "features").exists() and not (tmp_path / "probes").exists()


def test_two_targets_of_one_name_are_refused(photos, tmp_path):
    other = shutil.copytree(photos, tmp_path / "elsewhere" / photos.name)
    told = config.load("evaluate", {"targets": f"{photos},{other}"}, "smoke")
    with pytest.raises(datasets.DataError, match=f"two targets are called {photos.name}"):
        targets(told)


class AskedAtTheEpochsEnd(tracking.Silent):
    """A run that somebody asks to stop when the last step of an epoch is done, so that validation is what hears it."""

    def __init__(self, folder, steps, monkeypatch):
        super().__init__(folder)
        self.left, self.monkeypatch = steps, monkeypatch

    def stop_requested(self):
        asked, self.left = tracking.stop_requested(), self.left - 1
        if self.left == 0:
            self.monkeypatch.setattr(tracking.signals, "_asked", 15)
        return asked


@pytest.mark.parametrize(("name", "kind"), [("pretrain", "encoder"), ("finetune", "model")])
def test_a_stop_amid_validation_saves_what_was_trained(name, kind, photos, tmp_path, monkeypatch):
    told, steps = settings(name, photos, epochs="2"), 4  # an epoch
    _, whole = done(name, told, tracking.Silent(tmp_path / "whole"))
    folder = tmp_path / "stopped"
    with monkeypatch.context() as asked, pytest.raises(tracking.Stopped):
        done(name, told, AskedAtTheEpochsEnd(folder, steps, asked))
    (saved,) = (folder / "checkpoints").glob("step-*")
    assert saved.name == f"step-{steps:09d}"
    _, resumed = done(name, told, tracking.Silent(folder))
    assert equal(weights(whole, kind), weights(resumed, kind))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda tree: tree["weights"].popitem(), "missing "),
        (lambda tree: tree["weights"].update(strange=torch.zeros(1)), "extra strange"),
        (
            lambda tree: tree["weights"].update({next(iter(tree["weights"])): torch.zeros(3, 4)}),
            r"is \(3, 4\) instead of",
        ),
        (lambda tree: tree["optimizer"]["param_groups"][0]["params"].pop(), "groups of"),
        (
            lambda tree: tree["optimizer"]["state"]["0"].update(exp_avg=torch.zeros(7)),
            r"exp_avg of parameter 0 is \(7,\)",
        ),
        (lambda tree: tree.pop("own"), "the entry own"),
    ],
    ids=["missing", "extra", "misshapen", "groups", "moments", "entry"],
)
def test_a_checkpoint_of_another_model_is_refused_with_what_differs_and_changes_nothing(spoil, sentence):
    def fresh():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
        return State(net, torch.optim.AdamW(net.parameters()))

    trained = fresh()
    trained.model(torch.ones(1, 2)).sum().backward()
    trained.optimizer.step()
    tree = copy.deepcopy(trained.tree())
    spoil(tree)
    state = fresh()
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    with pytest.raises(ValueError, match=sentence) as refused:
        state.restore(tree, "runs/x/checkpoints/step-000000004")
    assert "runs/x/checkpoints/step-000000004 is not this config" in str(refused.value)
    assert equal(before, state.model.state_dict()) and not state.optimizer.state
