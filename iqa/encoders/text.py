"""Prompts → unit vectors of an open_clip text tower, computed once and kept together with what made them."""

import difflib
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from iqa import checkpoint
from iqa.disk import file_digest
from iqa.encoders.weights import DAMAGED, EncoderError, hub_file

CONFIG = "open_clip_config.json"  # what makes a folder, or a repository of the hub, a model of open_clip
PUBLISHED = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # its weights there, the better one first
FILES = (".safetensors", ".bin", ".pth", ".pt")
HUB, FOLDER = "hf-hub:", "local-dir:"  # open_clip's own prefixes
TAG = "openai"  # of a known name, if none is given: QualiCLIP's CLIP (RN50)
REMEDY = "give its path as loss.text_weights, or use loss=simplified, which needs no text"

Pairs = Sequence[tuple[str, str]]


def features(model: str, weights: str, pairs: Pairs, cache: Path) -> dict[str, Any]:
    """The unit vectors of antonym prompts and what made them, from the cache if they were computed before.

    model: a name that open_clip knows, a folder with its config, or hf-hub:OWNER/NAME. weights: a tag of that name
    or a file; "" = the folder's own, of a name `openai`. pairs: (good, bad). Returns the tree of an artifact of kind
    "text": "features" (P, 2, E), "prompts", "model", "weights", "digest" (SHA-256 of the file).
    Raises EncoderError: without weights there are no features, and nothing takes their place.
    """
    content = "\x1f".join([model, identity(model, weights), *(prompt for pair in pairs for prompt in pair)])
    folder = cache / "text" / hashlib.sha256(content.encode()).hexdigest()[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):  # of several workers one computes
        try:
            return checkpoint.read(folder, kind="text")
        except checkpoint.CheckpointError:  # not there yet, or damaged
            tree = _computed(model, weights, pairs)
            checkpoint.write(folder, tree, kind="text")
            return tree


def identity(model: str, weights: str) -> str:
    """What a text tower is known by: the tag, or the content of its files. Raises EncoderError where there is none."""
    if weights and Path(weights).suffix in FILES:
        return file_digest(_existing(weights))
    if Path(model).is_dir():
        return file_digest(Path(model) / CONFIG) + file_digest(_inside(Path(model)))
    return weights or TAG


def _computed(model: str, weights: str, pairs: Pairs) -> dict[str, Any]:
    name, file, quick_gelu = _located(model, weights)
    import open_clip

    with torch.random.fork_rng(devices=[]):
        net = _tower(name, file, quick_gelu)
    try:
        tokens = open_clip.get_tokenizer(name)([prompt for pair in pairs for prompt in pair])
    except (OSError, ImportError, RuntimeError, ValueError, AttributeError) as error:
        raise EncoderError(
            f"The tokenizer of {model} cannot be made ({type(error).__name__}): choose a model with open_clip's own "
            "tokenizer, such as RN50, or a folder that holds the tokenizer's files."
        ) from error
    with torch.no_grad():
        vectors: Tensor = net.encode_text(tokens, normalize=True)  # type: ignore[operator]
    about = {
        "model": model,
        "weights": weights or ("" if name.startswith(FOLDER) else TAG),
        "digest": file_digest(file),
    }
    return about | {"prompts": [list(pair) for pair in pairs], "features": vectors.unflatten(0, (len(pairs), 2))}


def _located(model: str, weights: str) -> tuple[str, Path, bool]:
    """What open_clip calls the model, the file of its weights, and whether these were trained with QuickGELU."""
    file = _existing(weights) if weights and Path(weights).suffix in FILES else None
    if Path(model).is_dir():
        return f"{FOLDER}{model}", file or _inside(Path(model)), False
    if model.startswith(HUB):
        repository = model.removeprefix(HUB)
        folder = hub_file(model, repository, [CONFIG], "", "give the folder as loss.text_model").parent
        return f"{FOLDER}{folder}", file or hub_file(model, repository, PUBLISHED, "", REMEDY), False
    import open_clip

    known = open_clip.list_models()
    if model not in known:
        near = difflib.get_close_matches(model, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "open_clip.list_models() names them."
        raise EncoderError(f"'{model}' is no folder, and no model that open_clip knows: {hint}")
    if file is not None:
        return model, file, False
    about = open_clip.get_pretrained_cfg(model, weights or TAG)
    if not about:
        tags = ", ".join(open_clip.pretrained.list_pretrained_tags_by_model(model)) or "none"
        raise EncoderError(f"'{weights or TAG}' is no file and no weights of {model}: its tags are {tags}.")
    repository, _, given = about.get("hf_hub", "").rpartition("/")
    if not repository:
        raise EncoderError(
            f"{model} {weights or TAG} is not on the hub: download {about.get('url')}, then give the file's path as "
            "loss.text_weights."
        )
    files = [given] if given else PUBLISHED
    return model, hub_file(f"{model} {weights or TAG}", repository, files, "", REMEDY), bool(about.get("quick_gelu"))


def _tower(name: str, file: Path, quick_gelu: bool) -> nn.Module:
    """open_clip's model with the file's weights, strictly loaded; nothing in the file is executed."""
    import open_clip
    from safetensors import SafetensorError

    root = logging.getLogger()
    root.addFilter(_nothing)  # open_clip warns there of random weights, which are replaced in the next lines
    try:
        net = open_clip.create_model(
            name, load_weights=False, pretrained_image=False, pretrained_text=False, force_quick_gelu=quick_gelu
        )
    except (OSError, ImportError, KeyError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise EncoderError(f"open_clip cannot build {name}: {_line(error)}") from error
    finally:
        root.removeFilter(_nothing)
    try:
        open_clip.load_checkpoint(net, str(file), strict=True, weights_only=True)
    except (SafetensorError, *DAMAGED) as error:
        raise EncoderError(f"{file} cannot be read as plain tensors of {name}: {_line(error)}") from error
    return net.eval().float()


def _nothing(record: logging.LogRecord) -> bool:
    """Of what is logged at the root itself."""
    return False


def _line(error: BaseException) -> str:
    """The beginning of what a library said, as one line."""
    return " ".join(str(error).split())[:200]


def _existing(weights: str) -> Path:
    if not Path(weights).is_file():
        raise EncoderError(f"There are no weights at {weights}: give a file, or a tag that open_clip knows.")
    return Path(weights)


def _inside(folder: Path) -> Path:
    """The weights of a model's folder."""
    found = [folder / name for name in PUBLISHED if (folder / name).is_file()]
    if not found or not (folder / CONFIG).is_file():
        raise EncoderError(f"{folder} is no model of open_clip: it needs {CONFIG} and {' or '.join(PUBLISHED)}.")
    return found[0]
