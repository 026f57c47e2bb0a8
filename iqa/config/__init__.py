"""Configs: what each stage is told (models), and how strings become that (reading). Presets lie in iqa/presets."""

from iqa.config.models import (
    AS_PUBLISHED,
    Compute,
    Data,
    EvaluateConfig,
    FinetuneConfig,
    Loss,
    PretrainConfig,
    Section,
)
from iqa.config.reading import (
    FLAT,
    STAGES,
    UNSET,
    ConfigError,
    build,
    dotted,
    field_names,
    fingerprint,
    flatten,
    load,
    read_preset,
    unknown,
)

__all__ = [
    "AS_PUBLISHED",
    "FLAT",
    "STAGES",
    "UNSET",
    "Compute",
    "ConfigError",
    "Data",
    "EvaluateConfig",
    "FinetuneConfig",
    "Loss",
    "PretrainConfig",
    "Section",
    "build",
    "dotted",
    "field_names",
    "fingerprint",
    "flatten",
    "load",
    "read_preset",
    "unknown",
]
