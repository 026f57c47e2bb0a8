"""timm's feature extractors behind one call: images in [0, 1] → four stages of features at strides 4, 8, 16, 32."""

import difflib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iqa import checkpoint
from iqa.encoders.weights import BUNDLED, EncoderError, adopt, bundled, load, read, timm_file
from iqa.randomness import SeededDropPath

STRIDES = (4, 8, 16, 32)
ALIASES = {f"swin_{size}": f"swin_{size}_patch4_window7_224" for size in ("tiny", "small", "base")}
KEYWORDS = ("bundled", "timm", "random")
FILES = (".safetensors", ".pth")


class Encoder(nn.Module):
    """Images (N, 3, H, W) in [0, 1] → [(N, C_s, H/s, W/s) for s in 4, 8, 16, 32] (sizes rounded up).

    It normalises by itself. frozen: batch normalisation keeps to its stored statistics, also while training.
    loaded: how many tensors were matched, missing, and left unused. in_bfloat16: the net computes in it where that is
    safe (autocast); weights, normalisation and features stay float32.
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
        self.in_bfloat16, self.fixed = False, False
        self.train(self.training)

    def forward(self, images: Tensor) -> list[Tensor]:
        kind = "cpu" if images.is_meta else images.device.type  # tensors without memory have no autocast of their own
        with torch.autocast(kind, torch.bfloat16, enabled=self.in_bfloat16):
            maps = self.net((images - self.mean) / self.std)
        features = [maps[stage].float() if self.in_bfloat16 else maps[stage] for stage in self.stages]
        if self.channels_at_the_end:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        widths = tuple(feature.shape[1] for feature in features)
        assert widths == self.channels, f"{self.name} gave {widths} channels instead of {self.channels}"
        return features

    def train(self, mode: bool = True) -> "Encoder":
        super().train(mode and not self.fixed)
        if self.frozen:
            for module in self.normalisations():
                module.eval()
        return self

    def fix(self) -> "Encoder":
        """From now on it is a function: no gradients, no stochastic depth, no statistics that move."""
        self.fixed = True
        self.requires_grad_(False)
        return self.train(self.training)

    def recompute(self) -> "Encoder":
        """Keep only the inputs of blocks for the backward pass and compute the rest again: less memory, more time.

        Raises EncoderError where a second pass would not be the first one again.
        """
        if not self.frozen and self.normalisations():
            raise EncoderError(
                f"{self.name} with random weights would count each batch twice in its batch statistics when blocks "
                "are computed again: leave compute.recompute out, or start from weights."
            )
        blocks = [module for module in self.net.modules() if hasattr(module, "grad_checkpointing")]
        inner = [module for module in blocks if module is not self.net]
        if not blocks:
            raise EncoderError(f"timm cannot compute parts of {self.name} again: leave compute.recompute out.")
        for module in inner or blocks:
            module.grad_checkpointing = True  # type: ignore[assignment]
        return self

    def normalisations(self) -> list[nn.Module]:
        """Its batch normalisations."""
        return [module for module in self.modules() if isinstance(module, _BatchNorm)]


def build(
    name: str,
    weights: str,
    drop_path: float = 0.0,
    seed: int = 0,
    image_size: int = 224,
    bfloat16: bool = False,
    recompute: bool = False,
) -> Encoder:
    """The encoder `name` (a timm model or an alias; "" = what the weights say) with its weights, strictly loaded.

    weights: bundled | timm | random (from `seed`) | a .safetensors or .pth file | an encoder artifact's folder.
    drop_path: rate of the last block, in [0, 1). image_size: side of the images to come, in pixels. bfloat16,
    recompute: how it computes, see `Encoder`. Raises EncoderError, or CheckpointError for a damaged artifact.
    """
    check(name, weights)
    name = ALIASES.get(name, name) or (BUNDLED if weights == "bundled" else "")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = _weighted(name, weights, drop_path, image_size)
    encoder.in_bfloat16 = bfloat16
    return encoder.recompute() if recompute else encoder


def _weighted(name: str, weights: str, drop_path: float, image_size: int) -> Encoder:
    if weights == "random":
        return _untrained(name, drop_path, image_size, frozen=False)
    if weights not in KEYWORDS and Path(weights).is_dir():
        return _from_artifact(name, Path(weights), drop_path, image_size)
    state = bundled() if weights == "bundled" else read(timm_file(name) if weights == "timm" else Path(weights))
    encoder = _untrained(name, drop_path, image_size, frozen=True)
    encoder.loaded = load(encoder.net, name, state, weights)
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
    state = {name.removeprefix("net."): tensor for name, tensor in tree["weights"].items()}
    encoder.loaded = adopt(encoder.net, encoder.name, state, str(folder))
    return encoder
