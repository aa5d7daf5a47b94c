"""MLP with Gaussian activations, h_k = exp(-(s (W_k h_{k-1} + b_k))^2), y = W h_L + b.

Initialisation: torch's default, as `mlp`. The activation is at its peak 1 where z = 0, and s > 1 narrows it.

Source: S. Ramasinghe and S. Lucey, Beyond Periodicity: Towards a Unifying Framework for Activations in
Coordinate-MLPs, ECCV 2022, written there exp(-z^2 / (2 a^2)), s = 1 / (a sqrt 2); s = 30 is the constant of
V. Saragadam et al., WIRE, CVPR 2023, and of Z. Liu et al., FINER, CVPR 2024, for images.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from lrnn_cli.models.mlp import Mlp, MlpConfig


class GaussConfig(MlpConfig):
    """Shape and scale of an MLP with Gaussian activations."""

    default_lr: ClassVar[float] = 1e-3
    scale: float = Field(30.0, gt=0, description="s of exp(-(s z)^2); larger is narrower")


class Gauss(Mlp):
    """MLP with f(z) = exp(-(s z)^2)."""

    def __init__(self, config: GaussConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__(config, n_inputs, n_outputs)
        self.scale = config.scale

    def activate(self, z: Tensor) -> Tensor:
        """Return exp(-(s z)^2)."""
        return torch.exp(-(self.scale * z).square())
