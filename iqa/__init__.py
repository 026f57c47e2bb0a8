"""No-reference image quality assessment: pretrain, fine-tune, evaluate, compare, report."""

__version__ = "0.1.0"
