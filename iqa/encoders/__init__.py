"""Encoders of images (timm) and of prompts (open_clip): the only place that imports either package.

`build` gives an image encoder with four stages of features, `text.features` the unit vectors of prompts.
"""

from iqa.encoders import text
from iqa.encoders.extractor import ALIASES, KEYWORDS, Encoder, build, check, tree
from iqa.encoders.weights import BUNDLED, EncoderError, adopt

__all__ = ["ALIASES", "BUNDLED", "KEYWORDS", "Encoder", "EncoderError", "adopt", "build", "check", "text", "tree"]
