"""Prompts through open_clip: computed once, known by what made them, and never replaced by something else."""

import json
import pickle
import re
import shutil

import pytest
import torch
from hostile import Canary

from iqa import checkpoint
from iqa.encoders import EncoderError, text

PAIRS = [("Good photo", "Bad photo"), ("Sharp photo", "Blurry photo")]


def test_features_are_unit_vectors_of_each_prompt_in_order(clip, tmp_path):
    both = text.features(str(clip), "", PAIRS, tmp_path)["features"]
    assert both.shape == (2, 2, 16)
    assert torch.allclose(both.norm(dim=-1), torch.ones(2, 2))
    alone = text.features(str(clip), "", [PAIRS[1][::-1]], tmp_path)["features"]
    assert torch.allclose(alone[0], both[1].flip(0), atol=1e-6)


def test_features_are_what_open_clip_itself_gives(clip, tmp_path):
    import open_clip

    net, _, _ = open_clip.create_model_and_transforms(f"local-dir:{clip}")
    tokens = open_clip.get_tokenizer(f"local-dir:{clip}")(["Good photo", "Bad photo"])
    with torch.no_grad():
        expected = net.eval().encode_text(tokens, normalize=True)
    assert torch.allclose(text.features(str(clip), "", PAIRS[:1], tmp_path)["features"][0], expected, atol=1e-6)


def test_features_are_computed_once(clip, tmp_path, monkeypatch):
    first = text.features(str(clip), "", PAIRS, tmp_path)
    monkeypatch.setattr(text, "_tower", None)  # whoever computes again fails
    again = text.features(str(clip), "", PAIRS, tmp_path)
    assert torch.equal(first["features"], again["features"])


def test_a_damaged_cache_is_computed_again(clip, tmp_path):
    first = text.features(str(clip), "", PAIRS, tmp_path)
    (kept,) = tmp_path.glob("text/*/tensors.safetensors")
    kept.write_bytes(b"")
    assert torch.equal(text.features(str(clip), "", PAIRS, tmp_path)["features"], first["features"])


def test_the_artifact_says_model_prompts_and_the_digest_of_the_weights(clip, tmp_path):
    import hashlib

    tree = text.features(str(clip), "", PAIRS, tmp_path)
    folder = checkpoint.write(tmp_path / "artifact", tree, kind="text")
    about = checkpoint.read(folder, kind="text")
    assert about["prompts"] == [list(pair) for pair in PAIRS] and about["model"] == str(clip)
    content = (clip / "open_clip_model.safetensors").read_bytes()
    assert about["digest"] == hashlib.sha256(content).hexdigest()


def test_other_weights_are_other_features(clip, tmp_path):
    from safetensors.torch import load_file, save_file

    other = tmp_path / "clip"
    shutil.copytree(clip, other)
    weights = load_file(other / "open_clip_model.safetensors")
    weights["text_projection"] = weights["text_projection"].flip(0).contiguous()
    save_file(weights, other / "open_clip_model.safetensors")
    assert text.identity(str(other), "") != text.identity(str(clip), "")
    one, two = (text.features(str(folder), "", PAIRS, tmp_path)["features"] for folder in (clip, other))
    assert not torch.allclose(one, two)


def test_a_file_goes_before_the_folders_own_weights(clip, tmp_path):
    file = tmp_path / "mine.pth"
    from safetensors.torch import load_file

    weights = load_file(clip / "open_clip_model.safetensors")
    torch.save({"state_dict": weights}, file)
    tree = text.features(str(clip), str(file), PAIRS, tmp_path)
    assert torch.equal(tree["features"], text.features(str(clip), "", PAIRS, tmp_path)["features"])
    assert text.identity(str(clip), str(file)) != text.identity(str(clip), "")


def test_computing_leaves_the_global_generator_alone(clip, tmp_path):
    before = torch.random.get_rng_state()
    text.features(str(clip), "", PAIRS, tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_weights_one_sentence_says_what_to_fetch_and_where_it_belongs(offline, tmp_path):
    with pytest.raises(EncoderError) as refusal:
        text.features("RN50-quickgelu", "", PAIRS, tmp_path)
    sentence = str(refusal.value)
    assert "`hf download timm/resnet50_clip.openai open_clip_model.safetensors` puts it into" in sentence
    assert "loss.text_weights" in sentence and "loss=simplified" in sentence and str(offline) in sentence
    assert not list(tmp_path.glob("text/*/manifest.json"))


@pytest.mark.parametrize(
    ("model", "weights", "sentence"),
    [
        ("RN5", "", "'RN5' is no folder, and no model that open_clip knows: did you mean 'RN50'?"),
        ("RN50", "laion", "'laion' is no file and no weights of RN50: its tags are openai, yfcc15m, cc12m"),
        ("RN50", "nowhere.pth", "There are no weights at nowhere.pth"),
        ("hf-hub:nobody/nothing", "", "`hf download nobody/nothing open_clip_config.json`"),
    ],
)
def test_what_is_not_there_is_refused(model, weights, sentence, offline, tmp_path):
    with pytest.raises(EncoderError, match=re.escape(sentence)):
        text.features(model, weights, PAIRS, tmp_path)


def test_a_folder_without_config_or_weights_is_refused_with_what_it_needs(clip, tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "open_clip_config.json").write_text((clip / "open_clip_config.json").read_text())
    with pytest.raises(EncoderError, match="is no model of open_clip: it needs open_clip_config.json and"):
        text.features(str(tmp_path / "clip"), "", PAIRS, tmp_path)


def test_weights_of_another_tower_are_refused(clip, tmp_path):
    other = tmp_path / "clip"
    shutil.copytree(clip, other)
    about = json.loads((other / "open_clip_config.json").read_text())
    about["model_cfg"]["text_cfg"]["layers"] = 3
    (other / "open_clip_config.json").write_text(json.dumps(about))
    with pytest.raises(EncoderError, match="cannot be read as plain tensors of .* Missing key"):
        text.features(str(other), "", PAIRS, tmp_path)


def test_a_pickle_in_disguise_is_refused_and_never_run(clip, tmp_path):
    canary, file = tmp_path / "canary", tmp_path / "weights.pt"
    file.write_bytes(pickle.dumps(Canary(canary), protocol=2))
    with pytest.raises(EncoderError, match="cannot be read as plain tensors"):
        text.features(str(clip), str(file), PAIRS, tmp_path)
    assert not canary.exists()
