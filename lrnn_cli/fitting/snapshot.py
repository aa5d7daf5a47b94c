"""A good state of a training to go back to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Snapshot:
    """A good state to go back to."""

    step: int
    smooth_loss: float
    weights: list[Tensor]
    optimizer: dict[int, dict[str, Any]] = field(default_factory=dict)


def take_snapshot(
    step: int, smooth_loss: float, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> Snapshot:
    """Return a copy of weights and optimiser."""
    state = {
        key: {name: v.clone() if isinstance(v, Tensor) else v for name, v in entry.items()}
        for key, entry in optimizer.state_dict()["state"].items()
    }
    return Snapshot(step, smooth_loss, copies(parameters), state)


def copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return copies of parameters, without history."""
    return [p.detach().clone() for p in parameters]


def put_back(parameters: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    """Overwrite parameters by weights."""
    with torch.no_grad():
        for parameter, saved in zip(parameters, weights, strict=True):
            parameter.copy_(saved)
