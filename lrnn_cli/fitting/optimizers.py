"""The table of optimisers, all from torch."""

from collections.abc import Sequence

import torch
from torch import Tensor

OPTIMIZERS = ("adam", "adamw", "nadam", "sgd")


def make_optimizer(name: str, parameters: Sequence[Tensor], lr: float) -> torch.optim.Optimizer:
    """Build an optimiser with the library's defaults (momentum 0.9 for sgd)."""
    params = list(parameters)
    if name == "adam":
        return torch.optim.Adam(params, lr=lr, fused=True)
    if name == "adamw":
        return torch.optim.AdamW(params, lr=lr, fused=True)
    if name == "nadam":
        return torch.optim.NAdam(params, lr=lr)
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
