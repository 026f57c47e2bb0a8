"""Fine-tuning for real: accumulated gradients, a frozen encoder, whole optimizer groups, equal compute."""

import logging
from itertools import repeat

import numpy as np
import pytest
import torch
from stage_toy import Recorded, StopsAt, done, equal, settings, weights

from iqa import batches, checkpoint, datasets, encoders, images, optim, scorer, tracking
from iqa.stages import finetune
from iqa.stages.pacing import Pace
from iqa.stages.state import State

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def in_cache(home):
    """Hashes of this test's data stay in its own folder."""


def batch_of(photos, told):
    train = datasets.load(str(photos)).labelled().part("train")
    return next(
        batches.finetuning(
            train,
            batch=told.optim.batch_size,
            per_image=told.crops.per_image,
            seed=told.seed,
            start=0,
            crop=told.crops.size,
            flip=True,
        )
    )


def gradients(told, batch):
    model = finetune.build(told).double().train()
    state = State(model, finetune.optimizer_of(model, told), own={"seen": torch.zeros(2, 30, dtype=torch.float64)})
    for terms in finetune.micro_losses(state, CPU, Pace(told.compute.micro_batch), batch):
        terms["total"].backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("size", ["1", "4"])
def test_accumulated_gradients_are_those_of_the_whole_batch(size, photos, monkeypatch):
    monkeypatch.setattr(finetune, "pixels_to", lambda pixels, device: images.unit(pixels).double())
    whole, parts = (settings("finetune", photos, compute__micro_batch=n) for n in ("0", size))
    batch = batch_of(photos, whole)
    one, other = gradients(whole, batch), gradients(parts, batch)
    largest = max(float(gradient.abs().max()) for gradient in one.values())
    assert largest > 0
    assert all(torch.allclose(one[name], other[name], rtol=1e-7, atol=1e-9 * largest) for name in one)


def test_a_frozen_encoder_stays_as_it_was_while_the_head_learns(photos, tmp_path):
    told = settings("finetune", photos, encoder_lr_ratio="0", epochs="2")
    records, folder = done("finetune", told, tracking.Silent(tmp_path))
    tuned = weights(folder, "model")
    before = encoders.build("", "bundled").state_dict()
    assert all(torch.equal(tuned[f"encoder.{name}"], tensor) for name, tensor in before.items())
    first = finetune.build(told).state_dict()
    assert not torch.equal(tuned["head.hyper.last_weight.weight"], first["head.hyper.last_weight.weight"])
    assert "lr/head" in records[0] and "lr/encoder" not in records[0]


def test_the_best_weights_that_the_two_kept_checkpoints_may_name_stay(tmp_path):
    state = State(torch.nn.Linear(1, 1), None)
    for epoch in range(1, 6):
        state.own["best_epoch"] = epoch
        finetune.keep(state, tracking.Silent(tmp_path))
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [f"step-{n:09d}" for n in (3, 4, 5)]


@pytest.mark.parametrize("weights_of", ["bundled", "random"])
def test_a_frozen_encoder_is_a_function_also_while_training(weights_of, photos):
    name = "tf_efficientnet_lite0" if weights_of == "bundled" else "resnet10t"
    told = settings("finetune", photos, encoder_lr_ratio="0", model__drop_path="0.5", encoder=name, weights=weights_of)
    model = finetune.build(told).train()
    views = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one = model.encoder(views)
    again = model.eval().encoder(views)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(feature.requires_grad for feature in one) and model.train().head.training


def test_groups_are_disjoint_and_whole_and_everything_moves_in_every_epoch_and_after_a_resume(
    photos, tmp_path, monkeypatch
):
    """HyperIQA's own code stopped training its hyper network after epoch 1."""
    made = []

    def kept(model, config):
        made.append((model, original(model, config)))
        return made[-1][1]

    original = finetune.optimizer_of
    monkeypatch.setattr(finetune, "optimizer_of", kept)
    told = settings("finetune", photos, epochs="4")

    def watch(run):
        before = None
        for _ in finetune.finetune(told, run):
            model, optimizer = made[-1]
            assert optim.covers(optimizer, model)
            assert [group["name"] for group in optimizer.param_groups] == ["encoder", "head"]
            now = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
            if before is not None:
                still = [name for name in now if torch.equal(now[name], before[name])]
                assert not still, still
            before = now

    with pytest.raises(tracking.Stopped):
        watch(StopsAt(tmp_path / "run", 9))  # four steps an epoch: within the third
    watch(tracking.Silent(tmp_path / "run"))
    assert len(made) == 2


def test_the_rate_of_each_group_ends_below_where_it_began(photos, tmp_path):
    told = settings("finetune", photos, epochs="4", optim__patience="4", optim__floor="0.1", encoder_lr_ratio="0.001")
    records, _ = done("finetune", told, tracking.Silent(tmp_path))
    for name, first in (("lr/head", 1e-3), ("lr/encoder", 1e-6)):
        rates = [record[name] for record in records]
        assert rates == sorted(rates, reverse=True)
        assert rates[0] < first and rates[-1] == pytest.approx(0.1 * first, rel=0.2)


def test_crops_of_one_image_are_cut_from_one_decoding(photos, monkeypatch):
    datasets.load(str(photos))  # reads every picture once, for its content's digest
    seen = []
    original = images.read
    monkeypatch.setattr(images, "read", lambda file, **more: seen.append(file) or original(file, **more))
    told = settings("finetune", photos, batch_size="12", crops__per_image="3")
    batch = batch_of(photos, told)
    assert len(batch.seeds) == 12 and len(seen) == len(set(seen)) == 4
    assert len({bytes(crop.numpy().tobytes()) for crop in batch.pixels}) > 6


def test_extra_passes_lengthen_the_run_under_one_cosine_and_stop_no_earlier(photos, tmp_path):
    run = Recorded(tmp_path)
    told = settings("finetune", photos, epochs="2", optim__extra_passes="57", optim__patience="1", head_lr="1e-12")
    records, _ = done("finetune", told, run)  # 20 images: three more epochs; at this rate nothing gets better
    assert 4 <= len(records) <= 5
    rates = [record["lr/head"] / 1e-12 for record in records]
    assert rates == sorted(rates, reverse=True) and rates[0] > 0.9  # of a cosine over five epochs, not over two
    assert run.values[("best/epoch", len(records))] >= 1


def test_bfloat16_and_recomputation_train_a_model_that_loads_in_float32(photos, tmp_path):
    told = settings("finetune", photos, epochs="1", compute__precision="bfloat16", compute__recompute="true")
    records, folder = done("finetune", told, tracking.Silent(tmp_path))
    assert records[0]["train/loss"] > 0
    model, _ = scorer.load(folder, 32)
    assert {tensor.dtype for tensor in model.state_dict().values()} <= {torch.float32, torch.int64}


KINDS = [
    ("convnext_atto", "random", 64),
    ("resnet10t", "random", 96),
    ("resnet50.tv_in1k", "random", 64),
    ("tf_efficientnet_lite0", "bundled", 160),
    ("swin_tiny", "random", 64),
    ("swin_tiny", "random", 256),
    ("swin_tiny", "random", 384),
]


@pytest.mark.parametrize(("name", "origin", "side"), KINDS)
def test_every_kind_of_encoder_is_built_trained_a_step_and_loaded_again(name, origin, side, photos, tmp_path):
    from iqa.config import flatten
    from iqa.loop import fit

    told = settings("finetune", photos, encoder=name, weights=origin, crops__size=str(side))
    model = finetune.build(told).train()
    count = 1 if side > 200 else 2
    views = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))

    def losses_of(batch):
        finetune.seed_masks(model, range(count))
        yield {"total": (model(batch) - 0.5).abs().mean()}

    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    steps = range(count)  # a ResNet's branches begin at zero: their weights move from the second step on
    list(fit(losses_of, repeat(views), finetune.optimizer_of(model, told), lambda step: 1.0, steps))
    moved = sum(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert moved > 0.9 * len(before)
    about = (scorer.Preprocessing(side, 1, "native", "bicubic", side), scorer.Scale("toy", "none", 0.0, 1.0))
    folder = scorer.save(tmp_path / "model", model, flatten(told), {}, *about)
    again, _ = scorer.load(folder, side)
    with torch.no_grad():
        assert torch.equal(model.eval()(views), again.eval()(views))
    assert equal(model.state_dict(), again.state_dict())


def test_hyperiqa_itself_is_a_row_one_can_run(photos):
    more = {"model__multi_scale": "false", "model__attention": "false", "model__dropout": "0"}
    with torch.device("meta"):
        encoder = encoders.build("resnet50.tv_in1k", "random")
    assert encoder.channels == (256, 512, 1024, 2048)
    told = settings("finetune", photos, encoder="resnet50.tv_in1k", weights="random", **more)
    model = finetune.build(told).eval()
    assert model(torch.rand(1, 3, 32, 32)).shape == (1,)
    assert sum(p.numel() for p in model.encoder.parameters()) == 23_508_032  # torchvision's ResNet-50 without its fc


@pytest.mark.parametrize(
    ("srccs", "best"),
    [([0.1, 0.3, 0.2], 2), ([np.nan, 0.1, -0.5], 2), ([-0.5, np.nan, np.nan], 1), ([np.nan, np.nan], 1)],
)
def test_an_undefined_validation_result_beats_nothing_and_is_beaten_by_any(srccs, best, photos, tmp_path, monkeypatch):
    told, validation = settings("finetune", photos), datasets.load(str(photos)).part("validation")
    state = State(torch.nn.Linear(1, 1), None, own={})
    monkeypatch.setattr(finetune, "predict", lambda *_: np.zeros(len(validation)))
    for epoch, srcc in enumerate(srccs, 1):
        found = {"val/srcc": srcc, "val/plcc": srcc}
        monkeypatch.setattr(finetune, "correlations", lambda *_, found=found: dict(found))
        finetune.select(state, validation, epoch, told, tracking.Silent(tmp_path), CPU)
    assert state.own["best_epoch"] == best


class KilledAtTheEnd(Recorded):
    """A run whose process ends after the last epoch, before the best one is tested."""

    def metrics(self, values, step):
        if "best/epoch" in values:
            raise KeyboardInterrupt
        super().metrics(values, step)


@pytest.mark.parametrize(
    ("count", "best", "told", "again"),
    [(2, 2, "taken from the checkpoint", 0), (2, 1, "going back", 1), (3, 1, "everything is done again", 3)],
    ids=["the last epoch", "the one before", "an early one"],
)
def test_a_damaged_best_epoch_is_restored_by_the_same_command(
    count, best, told, again, photos, tmp_path, monkeypatch, caplog
):
    def chosen(state, validation, epoch, config, run, device):
        if epoch <= best:
            state.own |= {"best_epoch": epoch, "best_srcc": 0.5, "best_plcc": 0.5}
            finetune.keep(state, run)
        return {}

    monkeypatch.setattr(finetune, "select", chosen)
    monkeypatch.setattr(finetune.probing, "probe", lambda *_: None)
    monkeypatch.setattr(finetune.looking, "look", lambda *_: None)
    config = settings("finetune", photos, epochs=str(count))
    with pytest.raises(KeyboardInterrupt):
        done("finetune", config, KilledAtTheEnd(tmp_path))
    kept = max((tmp_path / "best").glob("step-*"))
    whole = {name: tensor.clone() for name, tensor in weights(kept, "training").items()}  # they lie in the file itself
    tensors = kept / checkpoint.TENSORS
    tensors.write_bytes(tensors.read_bytes()[:-7])
    with caplog.at_level(logging.WARNING, "iqa"):
        records, model = done("finetune", config, Recorded(tmp_path))
    assert told in caplog.text and kept.name in caplog.text and len(records) == again
    assert equal(whole, weights(model, "model"))


def test_a_best_epoch_that_is_missing_goes_back_to_the_checkpoint_before_it_was_chosen(tmp_path):
    own = {"weights": {"a": torch.ones(1)}, "sums": {}, "epoch": 4}
    finetune.best_kept(tmp_path, own | {"own": {}})  # nothing chosen yet, nothing missing
    with pytest.raises(checkpoint.CheckpointError, match="not there"):
        finetune.best_kept(tmp_path, own | {"own": {"best_epoch": 3}})
    with pytest.raises(checkpoint.CheckpointError, match="not there"):  # amid epoch 5 the weights have moved on
        finetune.best_kept(tmp_path, own | {"sums": {"total": torch.ones(1)}, "own": {"best_epoch": 4}})
    finetune.best_kept(tmp_path, own | {"own": {"best_epoch": 4}})
    assert torch.equal(finetune.best_of(tmp_path, 4)["weights"]["a"], torch.ones(1))
