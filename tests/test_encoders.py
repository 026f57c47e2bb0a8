"""Encoders: four stages from real weights, strictly loaded, exact for each image, nothing fetched unasked."""

import pickle
import re
from pathlib import Path

import pytest
import torch
from hostile import Canary
from torch import nn
from torch.nn.functional import interpolate

from iqa import checkpoint, encoders
from iqa.encoders import BUNDLED, EncoderError, weights
from iqa.randomness import SeededDropPath, seed_masks

CNN = "convnext_atto"  # small, without batch normalisation
NORMED = "resnet10t"  # small, with it
CATS, ESPRESSO = slice(281, 286), 967  # ImageNet's domestic cats (tabby … Egyptian), and its espresso


def images(count: int, side: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def bundled() -> encoders.Encoder:
    return encoders.build("", "bundled")


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    """timm's whole classifier with the bundled weights, as published but for the names."""
    import timm

    whole = timm.create_model(BUNDLED)
    whole.load_state_dict(weights.bundled())
    return whole.eval()


@pytest.fixture(scope="module")
def swin() -> encoders.Encoder:
    return encoders.build("swin_tiny", "random", drop_path=0.5).eval()


@pytest.mark.parametrize(("photograph", "classes"), [("chelsea", CATS), ("coffee", slice(ESPRESSO, ESPRESSO + 1))])
def test_the_bundled_weights_know_a_cat_and_an_espresso_in_the_encoders_normalisation(
    photograph, classes, bundled, classifier
):
    from skimage import data

    pixels = torch.from_numpy(getattr(data, photograph)()).permute(2, 0, 1)[None].float() / 255
    side = min(pixels.shape[2:])
    top, left = ((size - side) // 2 for size in pixels.shape[2:])
    square = pixels[:, :, top : top + side, left : left + side]
    view = interpolate(square, size=224, mode="bicubic", antialias=True).clamp(0, 1)
    with torch.no_grad():
        chances = classifier((view - bundled.mean) / bundled.std).softmax(dim=1)[0]
    assert chances[classes].sum() > 0.85  # .88 and .94 here; with ImageNet's usual mean and deviation .84 and .81


def test_the_encoder_is_the_classifiers_trunk(bundled, classifier):
    views = images(1, 96)
    with torch.no_grad():
        trunk = classifier.bn2(classifier.conv_head(bundled.eval()(views)[3]))
        whole = classifier.forward_features((views - 0.5) / 0.5)
    assert torch.allclose(trunk, whole, atol=1e-5)


def test_every_tensor_of_the_bundled_encoder_is_matched_and_only_the_head_is_left_over(bundled):
    assert bundled.loaded == {"matched": 288, "missing": 0, "unused": 8}
    assert bundled.name == BUNDLED and bundled.channels == (24, 40, 112, 320)


def test_the_bundled_encoder_needs_no_network(offline):
    assert encoders.build("", "bundled").loaded["missing"] == 0


@pytest.mark.parametrize(
    ("name", "expected"), [("swin_base", 86_741_176), ("swin_tiny", 27_517_818), (BUNDLED, 2_958_848)]
)
def test_encoders_have_the_published_number_of_parameters(name, expected):
    with torch.device("meta"):
        encoder = encoders.build(name, "random")
    assert sum(parameter.numel() for parameter in encoder.parameters()) == expected


@pytest.mark.parametrize("side", [32, 64, 96, 256])
@pytest.mark.parametrize("name", [CNN, NORMED, BUNDLED, "swin_tiny"])
def test_every_encoder_gives_four_stages_at_strides_4_8_16_32(name, side):
    encoder = encoders.build(name, "random", image_size=side).eval()
    with torch.no_grad():
        features = encoder(images(1, side))
    assert [tuple(f.shape) for f in features] == [
        (1, channels, side // stride, side // stride)
        for channels, stride in zip(encoder.channels, (4, 8, 16, 32), strict=True)
    ]


def test_a_crop_that_is_no_multiple_of_32_is_rounded_up(bundled):
    assert [f.shape[-1] for f in bundled.eval()(images(1, 112))] == [28, 14, 7, 4]


def test_swins_channels_are_moved_to_the_front_and_no_value_is_changed(swin):
    views = images(1, 224)
    with torch.no_grad():
        ours, timms = swin(views), swin.net((views - swin.mean) / swin.std)
    assert all(torch.equal(one, other.permute(0, 3, 1, 2)) for one, other in zip(ours, timms, strict=True))


def test_features_with_unexpected_channels_are_an_error_of_ours():
    encoder = encoders.build(CNN, "random")
    encoder.channels = (1, 2, 3, 4)
    with pytest.raises(AssertionError, match="channels instead of"):
        encoder(images(1))


def test_the_encoder_normalises_and_nobody_else_has_to(bundled):
    views = images(2)
    with torch.no_grad():
        ours, expected = bundled.eval()(views), bundled.net((views - 0.5) / 0.5)
    assert all(torch.equal(one, other) for one, other in zip(ours, expected[-4:], strict=True))


def test_the_input_images_are_left_as_they_are(bundled):
    views = images(1)
    before = views.clone()
    bundled(views)
    assert torch.equal(views, before)


def test_normalisation_is_no_part_of_the_weights(bundled):
    assert all(name.startswith("net.") for name in bundled.state_dict())


def test_frozen_batch_normalisation_keeps_its_statistics_in_training(bundled):
    before = {name: buffer.clone() for name, buffer in bundled.named_buffers()}
    bundled.train()(images(4))
    assert bundled.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in bundled.named_buffers())


def test_a_batch_in_training_gives_what_its_images_give_one_by_one(bundled):
    views = images(4)
    bundled.train()
    with torch.no_grad():
        together, alone = bundled(views), [bundled(view[None]) for view in views]
    for stage, features in enumerate(together):
        single = torch.cat([one[stage] for one in alone])
        assert torch.allclose(features, single, atol=1e-4 * single.abs().max().item())


def test_random_weights_train_their_batch_statistics():
    encoder = encoders.build(NORMED, "random").train()
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    encoder(images(4))
    assert not all(torch.equal(buffer, before[name]) for name, buffer in encoder.named_buffers())


def test_the_gradient_reaches_every_parameter_of_a_frozen_encoder(bundled):
    bundled.train().zero_grad()
    sum(features.square().mean() for features in bundled(images(2))).backward()
    assert not [name for name, p in bundled.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("name", ["swin_tiny", CNN, BUNDLED])
def test_without_drop_path_training_computes_what_evaluation_does(name):
    encoder = encoders.build(name, "bundled" if name == BUNDLED else "random", image_size=64)  # Swin's own rate is 0.1
    views = images(2)
    with torch.no_grad():
        trained, evaluated = encoder.train()(views), encoder.eval()(views)
    assert all(torch.equal(one, other) for one, other in zip(trained, evaluated, strict=True))


def test_drop_path_rises_to_its_rate_in_the_last_block_and_is_seeded_by_sample():
    encoder = encoders.build("swin_tiny", "random", drop_path=0.5, image_size=64).train()
    rates = [module.rate for module in encoder.modules() if isinstance(module, SeededDropPath)]
    assert rates == sorted(rates) and rates[-1] == pytest.approx(0.5)
    views = images(2)
    with torch.no_grad():
        seed_masks(encoder, [3, 4])
        together = encoder(views)
        seed_masks(encoder, [4])
        alone = encoder(views[1:])
        seed_masks(encoder, [5])
        other = encoder(views[1:])
    assert torch.allclose(together[3][1:], alone[3], atol=1e-5)
    assert not torch.allclose(other[3], alone[3], atol=1e-5)


def test_nothing_random_of_timms_own_is_left(swin):
    from timm.layers import DropPath

    assert not [module for module in swin.modules() if isinstance(module, DropPath)]
    assert not [module for module in swin.modules() if isinstance(module, nn.Dropout) and module.p]


def test_swin_has_the_same_tensors_for_every_image_size(swin):
    shapes = [
        {
            name: tensor.shape
            for name, tensor in encoders.build("swin_tiny", "random", image_size=side).state_dict().items()
        }
        for side in (32, 256)
    ]
    assert shapes[0] == shapes[1] == {name: tensor.shape for name, tensor in swin.state_dict().items()}


def test_the_same_seed_gives_the_same_random_encoder_and_another_another():
    first, again, other = (next(encoders.build(CNN, "random", seed=seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("weights", ["random", "bundled"])
def test_building_leaves_the_global_generator_alone(weights):
    before = torch.random.get_rng_state()
    encoders.build(BUNDLED, weights, seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)


def artifact(folder: Path, encoder: encoders.Encoder) -> Path:
    return checkpoint.write(folder, encoders.tree(encoder, {"seed": 3}), kind="encoder")


def test_an_artifact_gives_back_the_encoder_that_made_it(tmp_path):
    encoder = encoders.build(NORMED, "random", seed=5).train()
    encoder(images(4))  # its statistics have moved
    again = encoders.build("", str(artifact(tmp_path / "encoder", encoder)))
    assert again.name == NORMED and again.frozen
    assert again.loaded == {"matched": len(encoder.state_dict()), "missing": 0, "unused": 0}
    views = images(2)
    with torch.no_grad():
        pairs = zip(encoder.eval()(views), again.eval()(views), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_an_artifact_says_what_it_is_and_what_made_it(tmp_path, bundled):
    tree = checkpoint.read(artifact(tmp_path / "encoder", bundled), kind="encoder")
    assert tree["encoder"]["name"] == BUNDLED and tree["encoder"]["channels"] == [24, 40, 112, 320]
    assert tree["encoder"]["input"] == {"mean": [0.5] * 3, "std": [0.5] * 3}
    assert tree["config"] == {"seed": 3}


def test_an_artifact_normalises_as_it_did_when_it_was_made(tmp_path):
    encoder = encoders.build(CNN, "random")
    encoder.mean.fill_(0.25)
    assert encoders.build("", str(artifact(tmp_path / "encoder", encoder))).mean.flatten().tolist() == [0.25] * 3


def test_a_swin_artifact_serves_another_crop_size(tmp_path, swin):
    folder = artifact(tmp_path / "encoder", swin)
    assert encoders.build("swin_tiny", str(folder), image_size=96).loaded["missing"] == 0


def test_an_artifact_of_another_architecture_is_refused(tmp_path):
    folder = artifact(tmp_path / "encoder", encoders.build(CNN, "random"))
    with pytest.raises(EncoderError, match=f"holds {CNN}, not {NORMED}: leave the encoder empty"):
        encoders.build(NORMED, str(folder))


def test_weights_that_differ_are_refused_whole_with_every_difference_named(tmp_path):
    encoder = encoders.build(CNN, "random")
    tree = encoders.tree(encoder, {})
    tree["weights"] = dict(tree["weights"])
    tree["weights"]["net.unheard_of"] = torch.zeros(1)
    del tree["weights"]["net.stem_0.bias"]
    tree["weights"]["net.stem_0.weight"] = torch.zeros(1, 2)
    folder = checkpoint.write(tmp_path / "encoder", tree, kind="encoder")
    with pytest.raises(EncoderError) as refusal:
        encoders.build("", str(folder))
    for difference in ("missing stem_0.bias", "extra unheard_of", "stem_0.weight is (1, 2) instead of"):
        assert difference in str(refusal.value)


def test_a_load_that_fails_changes_no_weight():
    encoder = encoders.build(CNN, "random")
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    state = {name: tensor + 1 for name, tensor in encoder.net.state_dict().items()}
    state.popitem()
    with pytest.raises(EncoderError, match="missing"):
        weights.adopt(encoder.net, CNN, state, "toy")
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


@pytest.fixture(scope="module")
def whole_swin() -> dict[str, torch.Tensor]:
    """A whole Swin classifier's state dict under timm's names."""
    import timm

    return timm.create_model("swin_tiny_patch4_window7_224").state_dict()


def authors_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As the authors of Swin named the tensors: a stage ends with its down-sampling, the head has no layers."""
    names = {
        name: re.sub(r"layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", name)
        for name in state
    }
    return {names[name].replace("head.fc.", "head."): tensor for name, tensor in state.items()}


def test_a_file_may_hold_a_classifier_an_extractor_or_the_authors_own_names(tmp_path, whole_swin):
    from safetensors.torch import save_file

    whole = whole_swin
    save_file(whole, tmp_path / "whole.safetensors")
    torch.save({"model": authors_names(whole)}, tmp_path / "authors.pth")
    built = [encoders.build("swin_tiny", str(tmp_path / file)) for file in ("whole.safetensors", "authors.pth")]
    torch.save(built[0].net.state_dict(), tmp_path / "extractor.pth")
    built.append(encoders.build("swin_tiny", str(tmp_path / "extractor.pth"), image_size=64))
    for encoder, unused in zip(built, (4, 4, 0), strict=True):
        assert encoder.loaded == {"matched": 169, "missing": 0, "unused": unused}
        weight = encoder.net.state_dict()["layers_2.downsample.reduction.weight"]
        assert torch.equal(weight, whole["layers.2.downsample.reduction.weight"])


def test_a_file_whose_windows_would_have_to_be_resized_is_refused(tmp_path, whole_swin):
    whole = authors_names(whole_swin)
    tables = [name for name in whole if name.endswith("relative_position_bias_table")]
    whole |= {name: torch.zeros(23 * 23, whole[name].shape[1]) for name in tables}
    torch.save(whole, tmp_path / "window12.pth")
    with pytest.raises(EncoderError, match="window12.pth is not swin_tiny_patch4_window7_224's: missing"):
        encoders.build("swin_tiny", str(tmp_path / "window12.pth"))


def test_a_file_of_another_encoder_is_refused(tmp_path):
    torch.save(encoders.build(CNN, "random").net.state_dict(), tmp_path / "atto.pth")
    with pytest.raises(EncoderError, match=f"atto.pth is not {NORMED}'s: missing .* more"):
        encoders.build(NORMED, str(tmp_path / "atto.pth"))


@pytest.mark.parametrize(
    ("name", "weights", "sentence"),
    [
        ("swin_tny", "random", "'swin_tny' is no encoder that timm knows: did you mean 'swin_tiny'"),
        ("hf-hub:somebody/something", "timm", "is no encoder that timm knows"),
        ("swin_base", "bundled", "are tf_efficientnet_lite0's, not swin_base_patch4_window7_224's"),
        ("", "timm", "do not say whose they are"),
        ("", "random", "do not say whose they are"),
        (CNN, "imagenet", "are none of bundled, timm, random, and no file or folder"),
        (CNN, "bad\0name", "are none of bundled, timm, random, and no file or folder"),
        (CNN, __file__, "weights are read from .safetensors and .pth files, not from '.py'"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is(name, weights, sentence):
    with pytest.raises(EncoderError, match=re.escape(sentence)):
        encoders.check(name, weights)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vit_tiny_patch16_224", "has stages at strides [16, 16, 16], not at (4, 8, 16, 32)"),
        ("vgg11", "timm cannot build 'vgg11' as four stages with {'drop_path_rate': 0.1}"),
    ],
)
def test_an_encoder_without_the_four_stages_is_refused_with_what_it_has(name, sentence):
    with torch.device("meta"), pytest.raises(EncoderError, match=re.escape(sentence)):
        encoders.build(name, "random", drop_path=0.1)


def test_a_crop_that_swin_cannot_cut_into_patches_is_refused():
    with pytest.raises(EncoderError, match="a multiple of 4, not 130"):
        encoders.build("swin_tiny", "random", image_size=130)


def test_weights_that_cannot_be_fetched_are_refused_with_what_to_fetch(offline):
    with pytest.raises(EncoderError, match=r"`hf download timm/swin_tiny\S+ model.safetensors` puts it into"):
        encoders.build("swin_tiny", "timm")


def test_weights_that_were_fetched_once_need_no_network_again(offline):
    from safetensors.torch import save_file

    hub = offline / f"models--timm--{NORMED}.c3_in1k"
    kept = hub / "snapshots" / ("0" * 40)
    kept.mkdir(parents=True)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("0" * 40)
    source = encoders.build(NORMED, "random", seed=9).net.state_dict()
    save_file(source, kept / "model.safetensors")
    encoder = encoders.build(NORMED, "timm")
    assert encoder.loaded["matched"] == len(source) and encoder.frozen


def test_a_pickle_in_disguise_is_refused_and_never_run(tmp_path):
    canary, file = tmp_path / "canary", tmp_path / "weights.pth"
    for content in (pickle.dumps(Canary(canary), protocol=2), None):
        if content is None:
            torch.save({"model": Canary(canary)}, file)
        else:
            file.write_bytes(content)
        with pytest.raises(EncoderError, match="cannot be read as plain tensors"):
            encoders.build(CNN, str(file))
        assert not canary.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    from safetensors.torch import save_file

    file = tmp_path / f"weights{suffix}"
    state = {"stem.weight": torch.rand(64, 64)}
    torch.save(state, file) if suffix == ".pth" else save_file(state, file)
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(EncoderError, match="cannot be read as plain tensors"):
        encoders.build(CNN, str(file))


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"weight": 3}, {"epoch": 1, "model": {"weight": "x"}}])
def test_a_file_that_holds_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(EncoderError, match="holds no state dict"):
        encoders.build(CNN, str(tmp_path / "weights.pth"))


def kept_bytes(encoder: encoders.Encoder, views: torch.Tensor) -> int:
    """What the backward pass would find stored, parameters aside."""
    own = {parameter.data_ptr() for parameter in encoder.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        features = encoder(views)
    assert features
    return sum(kept.values())


@pytest.mark.parametrize(
    ("name", "origin"), [("swin_tiny", "random"), (CNN, "random"), (BUNDLED, "bundled")], ids=["swin", "cnn", "lite0"]
)
def test_computing_again_keeps_less_and_gives_the_same_gradients(name, origin):
    views = images(2, 64)
    found = []
    for recompute in (False, True):
        encoder = encoders.build(name, origin, drop_path=0.3, image_size=64, recompute=recompute).train()
        seed_masks(encoder, [1, 2])
        stored = kept_bytes(encoder, views)
        sum(features.square().mean() for features in encoder(views)).backward()
        found.append((stored, {key: parameter.grad for key, parameter in encoder.named_parameters()}))
    (whole, expected), (less, gradients) = found
    assert less < 0.6 * whole, (less, whole)
    reached = [key for key, gradient in expected.items() if gradient is not None]
    assert reached and all(torch.allclose(expected[key], gradients[key], rtol=1e-4, atol=1e-7) for key in reached)


def test_computing_again_is_refused_where_statistics_would_move_twice():
    with pytest.raises(EncoderError, match="leave compute.recompute out, or start from weights"):
        encoders.build(NORMED, "random", recompute=True)


def test_bfloat16_features_are_float32_and_near_the_exact_ones(bundled):
    views = images(2)
    half = encoders.build("", "bundled", bfloat16=True).eval()
    with torch.no_grad():
        exact, rough = bundled.eval()(views), half(views)
    for one, other in zip(exact, rough, strict=True):
        assert other.dtype == torch.float32 and not torch.equal(one, other)
        assert (one - other).norm() < 0.05 * one.norm()
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float32}


def test_a_fixed_encoder_stays_in_evaluation_and_gives_no_gradient():
    encoder = encoders.build(NORMED, "random", drop_path=0.5).fix().train()
    assert not any(module.training for module in encoder.modules())
    assert not any(feature.requires_grad for feature in encoder(images(2)))
