"""The HyperIQA head: sizes, exactness per image, and a target network worked out by hand."""

import math

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from iqa.hyperiqa import HyperHead, LocalDistortion, QualityModel, pooled, target_network
from iqa.randomness import seed_masks

LITE, SWIN_BASE, SWIN_TINY = (24, 40, 112, 320), (128, 256, 512, 1024), (96, 192, 384, 768)
SMALL = (4, 6, 8, 10)


def features(count: int, channels: tuple[int, ...] = SMALL, side: int = 64, seed: int = 0) -> list[torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    sizes = [max(1, side // (4 * 2**stage)) for stage in range(4)]
    return [torch.rand(count, c, size, size, generator=chance) for c, size in zip(channels, sizes, strict=True)]


def one_by_one(head: HyperHead, stages: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([head([stage[i : i + 1] for stage in stages]) for i in range(len(stages[0]))])


@pytest.mark.parametrize(
    ("channels", "multi_scale", "expected"),
    [
        (SWIN_BASE, True, 2_370_765),
        (SWIN_BASE, False, 1_648_585),
        (SWIN_TINY, True, 2_003_661),
        (SWIN_TINY, False, 1_461_705),
    ],
)
def test_the_head_has_the_published_number_of_parameters(channels, multi_scale, expected):
    head = HyperHead(channels, multi_scale=multi_scale, attention=multi_scale)
    assert sum(parameter.numel() for parameter in head.parameters()) == expected


@pytest.mark.parametrize("multi_scale", [True, False])
def test_a_batch_scores_as_its_images_one_by_one(multi_scale):
    head = HyperHead(LITE, multi_scale=multi_scale, attention=multi_scale).eval()
    stages = features(4, LITE)
    assert torch.allclose(head(stages), one_by_one(head, stages), atol=1e-6)
    assert head(stages).std() > 1e-5  # the four images do differ


def test_a_batch_in_training_scores_as_its_images_one_by_one_under_the_same_seeds():
    head = HyperHead(SMALL, dropout=0.5).train()
    stages = features(3)
    seed_masks(head, [5, 6, 7])
    together = head(stages)
    alone = []
    for i, seed in enumerate([5, 6, 7]):
        seed_masks(head, [seed])
        alone.append(head([stage[i : i + 1] for stage in stages]))
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)
    seed_masks(head, [8, 9, 10])
    assert not torch.allclose(together, head(stages), atol=1e-6)


def test_one_image_gives_one_score():
    assert HyperHead(SMALL).eval()(features(1)).shape == (1,)


@pytest.mark.parametrize("side", [32, 96, 128, 224])
def test_crops_from_32_pixels_on_are_scored_whatever_their_stages_measure(side):
    scores = HyperHead(SMALL).eval()(features(2, side=side))
    assert scores.shape == (2,) and scores.isfinite().all()


def test_the_memory_layout_changes_no_score():
    head = HyperHead(SMALL).eval()
    stages = features(3)
    turned = [stage.contiguous(memory_format=torch.channels_last) for stage in stages]
    assert torch.allclose(head(stages), head(turned), atol=1e-6)


@pytest.mark.parametrize("multi_scale", [True, False])
def test_the_gradient_reaches_every_parameter(multi_scale):
    head = HyperHead(SMALL, multi_scale=multi_scale, attention=multi_scale, dropout=0.0).train()
    stages = [stage.requires_grad_() for stage in features(4)]
    head(stages).square().sum().backward()
    dead = [name for name, parameter in head.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not dead
    read = stages if multi_scale else stages[3:]  # a single-scale head still reads all for the LDA vectors
    assert all(stage.grad is not None and stage.grad.any() for stage in read)


def test_the_target_network_scores_a_hand_built_network_as_worked_out_by_hand():
    vectors = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    first = (
        torch.tensor([[[1.0, -1.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.0]]]),
        torch.tensor([[0.0, 0.5], [0.0, 0.0]]),
    )
    last = (torch.tensor([[[2.0, -3.0]], [[4.0, 6.0]]]), torch.tensor([[0.25], [-1.0]]))
    sigmoid = [1 / (1 + math.exp(-x)) for x in (-1.0, 2.0)]  # 1 - 2, and 0.5 + 1 + 0.5
    expected = [2 * sigmoid[0] - 3 * sigmoid[1] + 0.25, 4 * 0.5 + 6 * 0.5 - 1]  # no sigmoid after the last
    assert target_network(vectors, [first, last]).tolist() == pytest.approx(expected, abs=1e-6)


def test_the_target_network_has_the_gradient_of_its_formula():
    chance = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn(shape, generator=chance, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 3), (2, 4, 3), (2, 4), (2, 1, 4), (2, 1))
    ]
    assert torch.autograd.gradcheck(lambda v, w, b, x, y: target_network(v, [(w, b), (x, y)]), tensors)


def test_a_head_whose_generators_say_only_their_biases_gives_the_score_worked_out_by_hand():
    head = HyperHead(SMALL, dropout=0.0).eval()
    weights, biases = (0.01, -0.02, 0.03, 0.04), (0.1, 0.2, -0.3, 0.4)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        for layer in (*head.local.layers, head.local.whole):
            layer.bias.fill_(0.5)  # every image's vector is 224 times 0.5
        for generator, value in zip(head.hyper.weights, weights, strict=True):
            generator.bias.fill_(value)
        for generator, value in zip(head.hyper.biases, biases, strict=True):
            generator.bias.fill_(value)
        head.hyper.last_weight.bias.fill_(0.2)
        head.hyper.last_bias.bias.fill_(-0.7)
    value = 0.5
    for width, weight, bias in zip((224, 112, 56, 28), weights, biases, strict=True):
        value = 1 / (1 + math.exp(-(width * weight * value + bias)))
    assert head(features(2)).tolist() == pytest.approx([14 * 0.2 * value - 0.7] * 2, abs=1e-5)


def test_each_generated_weight_belongs_to_its_own_image():
    head = HyperHead(SMALL).eval()
    stages = features(2)
    mixed = [torch.cat([stage[:1], stage[:1]]) for stage in stages]
    layers, same = head.hyper(stages), head.hyper(mixed)
    assert all(torch.allclose(one[0][0], other[0][1], atol=1e-6) for one, other in zip(layers, same, strict=True))
    assert not torch.allclose(layers[0][0][0], layers[0][0][1])


def test_generated_weights_have_the_target_networks_shapes():
    layers = HyperHead(SMALL).eval().hyper(features(3))
    assert [tuple(weights.shape) for weights, _ in layers] == [
        (3, 112, 224),
        (3, 56, 112),
        (3, 28, 56),
        (3, 14, 28),
        (3, 1, 14),
    ]
    assert [tuple(biases.shape) for _, biases in layers] == [(3, 112), (3, 56), (3, 28), (3, 14), (3, 1)]


def test_attention_without_a_preference_weighs_every_scale_a_quarter():
    head = HyperHead(SMALL, dropout=0.0).eval()
    plain = HyperHead(SMALL, attention=False, dropout=0.0).eval()
    with torch.no_grad():
        head.hyper.attention[-1].weight.zero_()
        head.hyper.attention[-1].bias.zero_()
    stages = features(2)
    assert torch.allclose(head.hyper.entering(stages), plain.hyper.entering(stages) / 4, atol=1e-7)


def test_attention_is_one_weight_a_scale_that_sum_to_one():
    head = HyperHead(SMALL).eval()
    ones = [torch.ones_like(stage) for stage in features(2)]
    entering = head.hyper.entering(ones)
    blocks = entering.split(SMALL, dim=1)
    assert all(torch.allclose(block, block[:, :1, :1, :1].expand_as(block), atol=1e-6) for block in blocks)
    assert torch.allclose(sum(block[:, 0, 0, 0] for block in blocks), torch.ones(2), atol=1e-6)


def test_attention_over_a_single_scale_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="multi_scale=true, or attention=false"):
        HyperHead(SMALL, multi_scale=False, attention=True)


def test_pooling_first_gives_the_local_vectors_that_convolving_first_would():
    local = LocalDistortion(SMALL)
    stages = features(2, side=96)
    slow = [
        layer(adaptive_avg_pool2d(conv(stage), side).flatten(1))
        for stage, conv, layer, side in zip(stages, local.convs, local.layers, (8, 4, 2), strict=False)
    ]
    expected = torch.cat([*slow, local.whole(stages[3].mean(dim=(2, 3)))], dim=1)
    assert local(stages).shape == (2, 224)
    assert torch.allclose(local(stages), expected, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (7, 7), (8, 12), (28, 31), (56, 56)])
@pytest.mark.parametrize("side", [2, 7, 8])
def test_pooling_agrees_with_torchs_adaptive_average(height, width, side):
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(pooled(images, side), adaptive_avg_pool2d(images, side), atol=1e-6)


def test_what_serving_pooled_first_can_still_be_trained_through():
    with torch.inference_mode():
        pooled(torch.rand(1, 1, 23, 23), 7)
    images = torch.rand(1, 1, 23, 23, requires_grad=True)
    pooled(images, 7).sum().backward()
    assert images.grad is not None


def test_the_same_seed_gives_the_same_head_and_another_another():
    def first(seed: int) -> torch.Tensor:
        return HyperHead(SMALL, seed=seed).hyper.weights[0].weight

    assert torch.equal(first(1), first(1)) and not torch.equal(first(1), first(2))


def test_building_a_head_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    HyperHead(SMALL, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_generators_begin_kaiming_normal():
    hyper = HyperHead(LITE).hyper
    for generator in (*hyper.weights, *hyper.biases):
        fan_in = generator.weight[0].numel()
        assert generator.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.06)


def test_the_quality_model_scores_what_its_encoder_sees():
    class Toy(torch.nn.Module):
        """A toy encoder: average pooling at four strides, three colours wide."""

        def forward(self, images):
            return [torch.nn.functional.avg_pool2d(images, 4 * 2**stage) for stage in range(4)]

    model = QualityModel(Toy(), HyperHead((3, 3, 3, 3))).eval()
    images = torch.rand(2, 3, 64, 64)
    scores = model(images)
    assert scores.shape == (2,)
    assert torch.equal(scores, model.head(model.encoder(images)))
