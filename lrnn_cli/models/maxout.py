"""Maxout: every neuron maps a vector to a scalar by maximum.

    h_kl = max_{j=1..P} (w_klj . h_{k-1} + b_klj),   y = W h_L + b.

With a product in place of the maximum, and learnable functions of the P pieces, this is the neuron of `lrnn`.

Initialisation: w ~ N(0, c_P / n) for n inputs with c_P = 1 / E[max(t_1 ... t_P)^2], t ~ N(0, 1)
independent, which keeps the mean square of h through the layers (c_2 = 1, c_3 = 0.7839); b ~ U(-1, 1) /
sqrt(n), which spreads the kinks.

Source: I. Goodfellow, D. Warde-Farley, M. Mirza, A. Courville, Y. Bengio, Maxout Networks, ICML 2013;
initialisation after H. Tseran and G. Montufar, Expected Gradients of Maxout Networks and Consequences to
Parameter Initialization, ICML 2023.
"""

import math
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, ModelConfig


class MaxoutConfig(ModelConfig):
    """Shape of a maxout network."""

    default_lr: ClassVar[float] = 1e-3
    width: int = Field(128, ge=1, description="neurons per layer")
    depth: int = Field(4, ge=1, description="maxout layers")
    pieces: int = Field(4, ge=2, description="affine pieces P per neuron")


@lru_cache
def second_moment_of_maximum(pieces: int) -> float:
    """Return E[max(t_1 ... t_P)^2], t ~ N(0, 1) independent, by the trapezoidal rule on t^2 d(Phi(t)^P)."""
    t = torch.linspace(-12.0, 12.0, 4001, dtype=torch.float64, device="cpu")
    density = torch.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)
    below = 0.5 * torch.erfc(-t / math.sqrt(2.0))
    return float(torch.trapezoid(t * t * pieces * density * below ** (pieces - 1), t))


class Maxout(CoordinateModel):
    """Maxout network from (n, d) to (n, c) with `depth` layers and a linear head."""

    def __init__(self, config: MaxoutConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        sizes = [n_inputs] + [config.width] * config.depth
        self.pieces = config.pieces
        layers = [nn.Linear(a, b * config.pieces) for a, b in pairwise(sizes)]
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(config.width, n_outputs)
        with torch.no_grad():
            for layer in layers:
                variance = 1 / (layer.in_features * second_moment_of_maximum(config.pieces))
                layer.weight.normal_(std=math.sqrt(variance))

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the outputs of the last maxout layer, (n, width)."""
        for layer in self.layers:
            coords = layer(coords).unflatten(1, (-1, self.pieces)).amax(2)
        return coords
