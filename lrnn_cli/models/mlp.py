"""Plain MLPs: h_k = f(W_k h_{k-1} + b_k), y = W h_L + b, with f = max(0, z), tanh z or 1 / (1 + e^-z).

Three rows of the catalog, one per f, and the trunk of the models that differ from an MLP only in f or in an
encoding of the coordinates.

Initialisation: W, b ~ U(-1, 1) / sqrt(n) for n inputs, torch's default.

Source: the baselines without position encoding of V. Sitzmann et al., NeurIPS 2020, and of M. Tancik et
al., NeurIPS 2020.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, ModelConfig


class MlpConfig(ModelConfig):
    """Shape of an MLP."""

    width: int = Field(256, ge=1, description="neurons per layer")
    depth: int = Field(4, ge=1, description="hidden layers")


class Mlp(CoordinateModel):
    """MLP from (n, d) to (n, c), `depth` hidden layers and a linear head; subclasses define `activate`."""

    def __init__(self, config: MlpConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        sizes = [n_inputs] + [config.width] * config.depth
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.head = nn.Linear(config.width, n_outputs)

    def activate(self, z: Tensor) -> Tensor:
        """Return f(z), elementwise."""
        raise TypeError(f"{type(self).__name__} defines no activation")

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the outputs of the last hidden layer, (n, width)."""
        for layer in self.layers:
            coords = self.activate(layer(coords))
        return coords


class MlpReluConfig(MlpConfig):
    """Shape of an MLP with f(z) = max(0, z)."""

    default_lr: ClassVar[float] = 1e-3


class MlpRelu(Mlp):
    """MLP with f(z) = max(0, z)."""

    def activate(self, z: Tensor) -> Tensor:
        """Return max(0, z)."""
        return torch.relu(z)


class MlpTanhConfig(MlpConfig):
    """Shape of an MLP with f(z) = tanh z."""

    default_lr: ClassVar[float] = 1e-3


class MlpTanh(Mlp):
    """MLP with f(z) = tanh z."""

    def activate(self, z: Tensor) -> Tensor:
        """Return tanh z."""
        return torch.tanh(z)


class MlpSigmoidConfig(MlpConfig):
    """Shape of an MLP with f(z) = 1 / (1 + e^-z)."""

    default_lr: ClassVar[float] = 1e-3


class MlpSigmoid(Mlp):
    """MLP with f(z) = 1 / (1 + e^-z)."""

    def activate(self, z: Tensor) -> Tensor:
        """Return 1 / (1 + e^-z)."""
        return torch.sigmoid(z)
