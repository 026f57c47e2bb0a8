"""Pretraining for real: both losses, the controls, exact micro-batches, less memory, and what it reports."""

import csv
import itertools

import pytest
import torch
from stage_toy import Recorded, StopsAt, done, equal, settings, weights

from iqa import batches, checkpoint, config, datasets, encoders, losses, qualiclip, tracking
from iqa.stages import diagnostics, pretrain
from iqa.stages.pacing import Pace

CPU = torch.device("cpu")
FULL = {"loss": "full"}
RANDOM = FULL | {"loss__prototypes": "random", "loss__cosine": "0.5"}
SHUFFLED = {"loss__shuffle_levels": "true"}


@pytest.fixture(autouse=True)
def in_cache(home):
    """Hashes of this test's data, and text features, stay in its own folder."""


def batch_of(photos, told, step=0):
    """The crop pairs of a step."""
    train = datasets.load(str(photos)).part("train")
    return next(
        batches.pretraining(
            train,
            batch=told.optim.batch_size,
            seed=told.seed,
            start=step,
            families=told.degrade.families,
            crop=told.degrade.crop,
            overlap=told.degrade.overlap,
            compose=told.degrade.compose,
        )
    )


def gradients(told, batch, tmp_path):
    """Of every parameter after one step, computed in float64."""
    model = pretrain.build(told, tracking.Silent(tmp_path)).double().train()
    for terms in pretrain.micro_losses(model, told, CPU, Pace(told.compute.micro_batch), batch):
        terms["total"].backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("more", [{}, RANDOM, SHUFFLED], ids=["simplified", "full", "shuffled"])
@pytest.mark.parametrize("size", ["1", "4"])
def test_micro_batches_give_the_gradient_of_the_whole_batch(more, size, photos, tmp_path):
    whole, parts = (settings("pretrain", photos, compute__micro_batch=n, **more) for n in ("0", size))
    batch = batch_of(photos, whole)
    one, other = gradients(whole, batch, tmp_path), gradients(parts, batch, tmp_path)
    largest = max(float(gradient.abs().max()) for gradient in one.values())
    assert largest > 0
    assert all(torch.allclose(one[name], other[name], rtol=1e-9, atol=1e-12 * largest) for name in one)


def test_the_full_loss_trains_against_prompts_and_leaves_them_with_what_made_them(clip, photos, tmp_path):
    run = Recorded(tmp_path / "run")
    told = settings("pretrain", photos, loss__text_model=str(clip), loss__m_rank="0.05", **FULL)
    records, _ = done("pretrain", told, run)
    assert {"train/loss", "train/consistency", "train/ranking_positive", "train/ranking_negative"} <= records[0].keys()
    about = checkpoint.read(run.folder / "text", kind="text")
    assert about["prompts"] == [["Good photo", "Bad photo"]] and len(about["digest"]) == 64
    measured = float(about["features"][0, 0] @ about["features"][0, 1])
    assert records[0]["val/prototype_cosine"] == pytest.approx(measured, abs=1e-6)
    assert run.artifacts == ["text", "encoder", "figures"]


def test_the_full_loss_learns_the_order_of_levels(photos, tmp_path):
    told = settings("pretrain", photos, epochs="6", lr="1e-3", **RANDOM)
    records, _ = done("pretrain", told, tracking.Silent(tmp_path))
    assert records[-1]["train/loss"] < 0.7 * records[0]["train/loss"]


def test_several_pairs_of_prompts_are_averaged(clip, photos, tmp_path):
    prompts = "Good photo|Bad photo,Sharp photo|Blurry photo"
    told = settings("pretrain", photos, loss__text_model=str(clip), loss__prompts=prompts, **FULL)
    model = pretrain.build(told, tracking.Silent(tmp_path))
    assert torch.allclose(model.means, checkpoint.read(tmp_path / "text", kind="text")["features"].mean(dim=0))


def test_a_margin_that_these_prompts_leave_no_room_for_is_refused_with_the_measured_cosine(clip, photos, tmp_path):
    told = settings("pretrain", photos, loss__text_model=str(clip), loss__m_rank="0.2", **FULL)
    with pytest.raises(ValueError, match=r"the prototypes' cosine is 0\.93\d\d, which leaves at most 0\.17"):
        done("pretrain", told, tracking.Silent(tmp_path))


def test_without_text_weights_the_full_loss_refuses_instead_of_falling_back(offline, photos, tmp_path):
    with pytest.raises(encoders.EncoderError, match="`hf download timm/resnet50_clip.openai"):
        done("pretrain", settings("pretrain", photos, **FULL), tracking.Silent(tmp_path))
    assert not (tmp_path / "encoder").exists()


def test_random_prototypes_at_the_opposite_are_the_simplified_loss_with_a_frozen_direction(photos, tmp_path):
    told = settings("pretrain", photos, loss__cosine="-1", loss="full", loss__prototypes="random")
    model = pretrain.build(told, tracking.Silent(tmp_path))
    scores = pretrain.score_views(model, batches.degraded(batch_of(photos, told), 3, 32, CPU))
    simple = losses.simplified(scores[..., 0], 2.5e-3, 6.75e-2, 1, 1)["total"]
    assert torch.allclose(pretrain.terms_of(scores, told.loss)["total"], 2 * simple, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"loss.prototypes": "random"}, "loss.prototypes=random belongs to loss.type=full"),
        ({"loss": "full", "loss.cosine": "0.5"}, "loss.cosine belongs to loss.prototypes=random"),
        ({"loss": "full", "loss.prompts": "Good photo"}, "loss.prompts are pairs good|bad"),
        ({"loss": "full", "loss.prompts": "Good photo|"}, "loss.prompts are pairs good|bad"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(more, sentence):
    with pytest.raises(config.ConfigError) as refusal:
        config.load("pretrain", more, "smoke")
    assert sentence in str(refusal.value)


def test_shuffled_levels_are_fresh_for_each_image_and_step_and_no_micro_batch_changes_them(photos):
    told = settings("pretrain", photos, batch_size="18")
    batch, later = (batch_of(photos, told, step) for step in (0, 2))  # of two epochs
    first, second = pretrain.orders(batch, 5), pretrain.orders(later, 5)
    assert len({tuple(order.tolist()) for order in first}) > 9  # of 18 images
    again = {pair.index: order for pair, order in zip(later, second, strict=True)}
    pairs = [(order, again[pair.index]) for pair, order in zip(batch, first, strict=True) if pair.index in again]
    assert len(pairs) > 15 and sum(torch.equal(*pair) for pair in pairs) < 4  # 1 of 120 by chance
    assert torch.equal(torch.cat([pretrain.orders([pair], 5) for pair in batch]), first)


def test_shuffled_levels_are_every_permutation_alike(photos):
    told = settings("pretrain", photos, batch_size="18")
    seen = [tuple(order.tolist()) for step in range(30) for order in pretrain.orders(batch_of(photos, told, step), 3)]
    shares = [seen.count(order) / len(seen) for order in itertools.permutations(range(3))]
    assert min(shares) > 0.1 and max(shares) < 0.24  # of 540 draws: 1/6 ± 4 deviations


def test_shuffled_levels_teach_no_order(photos, tmp_path):
    """Ranks that mean nothing cannot be learnt: the loss stays near what constant scores cost, the margin."""
    more = {"epochs": "6", "lr": "1e-3", "loss__consistency": "0"}
    ordered, shuffled = (
        done("pretrain", settings("pretrain", photos, **more, **extra), tracking.Silent(tmp_path / name))[0][-1]
        for name, extra in (("ordered", {}), ("shuffled", SHUFFLED))
    )
    assert ordered["train/ranking"] < 0.5 * 0.0675 < 0.9 * 0.0675 < shuffled["train/ranking"]


@pytest.mark.parametrize("more", [RANDOM, SHUFFLED], ids=["full", "shuffled"])
def test_a_stopped_run_ends_as_the_uninterrupted_one_and_with_its_whole_figure(more, photos, tmp_path):
    told = settings("pretrain", photos, **more)
    _, whole = done("pretrain", told, tracking.Silent(tmp_path / "whole"))
    with pytest.raises(tracking.Stopped):
        done("pretrain", told, StopsAt(tmp_path / "stopped", 5))
    _, resumed = done("pretrain", told, tracking.Silent(tmp_path / "stopped"))
    assert equal(weights(whole, "encoder"), weights(resumed, "encoder"))
    tables = [(tmp_path / name / "figures" / "pretraining.csv").read_text() for name in ("whole", "stopped")]
    assert tables[0] == tables[1] and len(tables[0].splitlines()) == 3


def test_each_epoch_reports_ordering_spread_and_cosine_as_metrics_and_in_one_figure(photos, tmp_path):
    run = Recorded(tmp_path)
    records, _ = done("pretrain", settings("pretrain", photos), run)
    wanted = {"val/ordering/jpeg", "val/ordering/brighten", "val/ordering", "val/score_spread", "val/prototype_cosine"}
    assert wanted <= records[0].keys()
    assert records[0]["val/prototype_cosine"] == pytest.approx(-1)
    with (tmp_path / "figures" / "pretraining.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val/ordering"]) for row in rows] == [record["val/ordering"] for record in records]
    assert (tmp_path / "figures" / "pretraining.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_of_many_families_is_drawn(tmp_path):
    curve = [
        {"epoch": n, "train/loss": 1 / n, "val/ordering": 0.5, "val/score_spread": 0.1, "val/prototype_cosine": -1.0}
        | {f"val/ordering/f{family}": family / 26 for family in range(26)}
        for n in (1, 2)
    ]
    one = (diagnostics.write(tmp_path / "a", curve) / "pretraining.png").read_bytes()
    assert one == (diagnostics.write(tmp_path / "b", curve) / "pretraining.png").read_bytes()


def test_clipping_keeps_a_step_within_its_norm(photos, tmp_path):
    """At a norm far below Adam's epsilon the weights hardly move; without it they move by about the rate."""
    before = encoders.build("", "bundled").state_dict()
    moved = []
    for clip in ("0", "1e-12"):
        told = settings("pretrain", photos, epochs="1", optim__clip=clip, optim__weight_decay="0")
        _, folder = done("pretrain", told, tracking.Silent(tmp_path / clip))
        moved.append(max(float((t - before[name]).abs().max()) for name, t in weights(folder, "encoder").items()))
    assert moved[0] > 1e-4 > 1e-6 > moved[1]


def test_bfloat16_trains_and_keeps_weights_and_scores_in_float32(photos, tmp_path):
    told = settings("pretrain", photos, compute__precision="bfloat16", epochs="1")
    model = pretrain.build(told, tracking.Silent(tmp_path))
    views = batches.degraded(batch_of(photos, told), 3, 32, CPU)
    plain = pretrain.build(settings("pretrain", photos), tracking.Silent(tmp_path))
    scores, exact = pretrain.score_views(model, views), pretrain.score_views(plain, views)
    assert scores.dtype == torch.float32 and not torch.equal(scores, exact)
    assert torch.allclose(scores, exact, atol=0.05)
    _, folder = done("pretrain", told, tracking.Silent(tmp_path))
    assert {tensor.dtype for tensor in weights(folder, "encoder").values()} <= {torch.float32, torch.int64}


def test_compositions_are_drawn_from_different_groups_and_trained_on(photos, tmp_path):
    told = settings("pretrain", photos, families="blur,noise,jpeg,brightness", degrade__compose="3", batch_size="18")
    found = {pair.family for step in range(3) for pair in batch_of(photos, told, step)}
    assert {family.count("+") for family in found} == {0, 1, 2}
    assert len(done("pretrain", told, tracking.Silent(tmp_path))[0]) == 2


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"families": "jpeg2000"}, "jpeg2000 needs crops of at least 80 pixels, not 32: raise degrade.crop"),
        ({"families": "jpg"}, "did you mean 'jpeg'"),
        ({"families": "color_blocks", "levels": "10"}, "10 levels of color_blocks are not distinct"),
        ({"degrade__compose": "3"}, "needs as many groups, and these are of brightness, compression only"),
    ],
)
def test_degradations_that_cannot_be_are_refused_before_the_first_step(more, sentence, photos, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        done("pretrain", settings("pretrain", photos, **more), tracking.Silent(tmp_path))
    assert not (tmp_path / "checkpoints").exists()


def test_the_quality_of_full_scores_is_how_much_nearer_the_good_prompt_is():
    scores = torch.tensor([[0.5, 0.2], [0.1, 0.4]])
    assert torch.allclose(qualiclip.quality(scores), torch.tensor([0.3, -0.3]))
