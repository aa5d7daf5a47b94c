"""SIREN: an MLP with sine activations, h_k = sin(omega_0 (W_k h_{k-1} + b_k)), y = W h_L + b.

Initialisation: first layer W ~ U(-1, 1) / d; hidden layers W ~ U(-1, 1) sqrt(6 / n) / omega_0 for n inputs,
which keeps the arguments of the sines at N(0, 1) through any depth; biases U(-1, 1) / sqrt(n) as torch's
default; the last, linear layer as the hidden ones.

Source: V. Sitzmann, J. Martel, A. Bergman, D. Lindell, G. Wetzstein, Implicit Neural Representations with
Periodic Activation Functions, NeurIPS 2020, section 3.2 and supplement 1.
"""

import math
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, ModelConfig


class SirenConfig(ModelConfig):
    """Shape and constants of a SIREN."""

    width: int = Field(256, ge=1, description="neurons per layer")
    depth: int = Field(4, ge=1, description="sine layers")
    omega_first: float = Field(30.0, gt=0, description="omega_0 of the first layer")
    omega_hidden: float = Field(30.0, gt=0, description="omega_0 of the other layers")


class Siren(CoordinateModel):
    """SIREN from (n, d) to (n, c) with `depth` sine layers and a linear head."""

    def __init__(self, config: SirenConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        sizes = [n_inputs] + [config.width] * config.depth
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(config.width, n_outputs)
        self.omegas = [config.omega_first] + [config.omega_hidden] * (config.depth - 1)
        with torch.no_grad():
            layers[0].weight.uniform_(-1.0 / n_inputs, 1.0 / n_inputs)
            bound = math.sqrt(6.0 / config.width) / config.omega_hidden
            for layer in [*layers[1:], self.head]:
                layer.weight.uniform_(-bound, bound)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the outputs of the last sine layer, (n, width)."""
        for omega, layer in zip(self.omegas, self.layers, strict=True):
            coords = torch.sin(omega * layer(coords))
        return coords
