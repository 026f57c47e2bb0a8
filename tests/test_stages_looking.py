"""What a model leaves about where it looks: stage weights, gradient maps, windows."""

import numpy as np
import pytest
import torch

from iqa import datasets, encoders
from iqa.hyperiqa import HyperHead, QualityModel
from iqa.stages import looking


@pytest.fixture(scope="module")
def swin():
    encoder = encoders.build("swin_tiny", "random", image_size=64)
    return QualityModel(encoder, HyperHead(encoder.channels)).eval()


def test_stage_weights_are_a_share_of_each_of_the_four_stages(swin):
    found = looking.stage_weights(swin, torch.rand(2, 3, 64, 64))
    assert found.shape == (2, 4) and torch.allclose(found.sum(dim=1), torch.ones(2))


def test_a_head_without_attention_has_no_stage_weights(swin):
    plain = QualityModel(swin.encoder, HyperHead(swin.encoder.channels, attention=False))
    assert looking.stage_weights(plain, torch.rand(2, 3, 64, 64)).shape == (2, 0)


def test_gradient_maps_have_the_last_stages_grid_and_one_as_their_highest_value(swin):
    found = looking.gradient_maps(swin, torch.rand(2, 3, 64, 64))
    assert found.shape == (2, 2, 2) and torch.allclose(found.amax(dim=(1, 2)), torch.ones(2))
    assert all(parameter.grad is None for parameter in swin.parameters())


def test_the_attention_that_a_window_receives_sums_to_one_and_is_what_the_layer_itself_computes(swin):
    images, last = torch.rand(2, 3, 64, 64), [m for m in swin.modules() if type(m).__name__ == "WindowAttention"][-1]
    found = looking.window_attention(swin.encoder, images)
    assert torch.allclose(found.sum(dim=(1, 2)), torch.ones(2))
    kept = []
    last.fused_attn = False
    hook = last.softmax.register_forward_hook(lambda module, given, out: kept.append(out))
    with torch.no_grad():
        swin.encoder(images)
    hook.remove()
    assert torch.allclose(found.flatten(1), kept[0].mean(dim=(1, 2)), atol=1e-6)


def test_an_encoder_without_windows_has_no_window_attention():
    encoder = encoders.build("", "bundled", image_size=64).eval()
    assert looking.window_attention(encoder, torch.rand(1, 3, 64, 64)).shape == (1, 0, 0)


def test_the_shown_images_run_from_the_worst_to_the_best_score(photos):
    manifest = datasets.load(str(photos))
    scores = manifest.table["score"].to_numpy()[looking.spread_over_scores(manifest)]
    assert len(scores) == looking.SHOWN and (np.diff(scores) >= 0).all()
    assert (scores[0], scores[-1]) == (manifest.table["score"].min(), manifest.table["score"].max())
