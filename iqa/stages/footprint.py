"""How much memory a training step takes, counted on tensors without any: what autograd keeps, and the optimizer."""

from typing import Any

import torch
from torch import Tensor, nn

from iqa import encoders, qualiclip
from iqa.config import FinetuneConfig, PretrainConfig
from iqa.hyperiqa import HyperHead, QualityModel
from iqa.randomness import seed_masks

COPIES = 4  # of each weight: itself, its gradient, AdamW's two moments
BESIDE = 1.3  # assumption: what kernels and the allocator take beside what autograd keeps; not measured on a GPU


def bytes_needed(config: PretrainConfig | FinetuneConfig) -> tuple[int, int]:
    """(for the model and its optimizer, for each image of a backward pass), in bytes.

    An image is one crop where fine-tuning, two crops at all levels where pretraining. The encoder's weights are never
    looked at. Raises EncoderError for an encoder that there is not.
    """
    with torch.device("meta"):
        model, crops, side = (_finetuned if isinstance(config, FinetuneConfig) else _pretrained)(config)
        one, two = (kept(model, torch.empty(n * crops, 3, side, side)) for n in (1, 2))
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return COPIES * weights, int(BESIDE * (two - one))


def fitting(config: PretrainConfig | FinetuneConfig, free: int) -> int:
    """How many images of a backward pass fit into so many bytes."""
    fixed, each = bytes_needed(config)
    return max(0, (free - fixed) // each)


def kept(model: nn.Module, images: Tensor) -> int:
    """Bytes that a forward pass leaves for the backward pass, the model's own tensors aside."""
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    found: dict[int, Any] = {}  # the storages themselves, so that no address is used twice

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage
        return tensor

    seed_masks(model, range(len(images)))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(images)
    return sum(storage.nbytes() for storage in found.values())


def _encoder(config: Any, drop_path: float, side: int) -> encoders.Encoder:
    name = config.model.encoder or encoders.BUNDLED
    halves = config.compute.precision == "bfloat16"
    encoder = encoders.build(name, "random", drop_path, image_size=side, bfloat16=halves)
    encoder.frozen = True  # as with weights
    encoder.train()
    return encoder.recompute() if config.compute.recompute else encoder


def _finetuned(config: Any) -> tuple[nn.Module, int, int]:
    encoder, about = _encoder(config, config.model.drop_path, config.crops.size), config.model
    head = HyperHead(encoder.channels, about.multi_scale, about.attention, about.dropout)
    return QualityModel(encoder, head), 1, config.crops.size


def _pretrained(config: Any) -> tuple[nn.Module, int, int]:
    encoder, about = _encoder(config, 0.0, config.degrade.crop), config.model
    model = qualiclip.DirectionModel(encoder, encoder.channels, about.hidden, about.embedding, 0)
    return model, 2 * config.degrade.levels, config.degrade.crop
