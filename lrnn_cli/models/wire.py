"""WIRE: an MLP with complex Gabor wavelets as activations.

    h_k = exp(i omega_0 z - |s z|^2),   z = W_k h_{k-1} + b_k,   y = Re(W h_L + b).

W_1, b_1 are real, all other weights complex. Here every complex number is a pair of reals, so that
counting, saving and optimising know nothing of it: with z = p + i q the activation is exp(-omega_0 q - s^2
(p^2 + q^2)) (cos omega_0 p, sin omega_0 p). The features are (Re h_L, Im h_L), and the output layer on
them, (Re W, -Im W) and Re b, is exactly the real part above.

Initialisation: real and imaginary parts of W and b ~ U(-1, 1) / sqrt(n) for n inputs, complex ones counting
once: torch's default for complex layers.

Source: V. Saragadam, D. LeJeune, J. Tan, G. Balakrishnan, A. Veeraraghavan, R. Baraniuk, WIRE: Wavelet
Implicit Neural Representations, CVPR 2023, section 3.
"""

import math
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, ModelConfig


class WireConfig(ModelConfig):
    """Shape and constants of a WIRE network."""

    default_lr: ClassVar[float] = 5e-3
    width: int = Field(181, ge=1, description="complex neurons per layer")
    depth: int = Field(3, ge=1, description="wavelet layers; all but the first are complex")
    omega_first: float = Field(20.0, gt=0, description="omega_0 of the first layer")
    omega_hidden: float = Field(20.0, gt=0, description="omega_0 of the other layers")
    scale: float = Field(10.0, gt=0, description="s of exp(-|s z|^2); larger is narrower")


class ComplexLinear(nn.Module):
    """z = W h + b for complex W, h, b; h and z as real tensors (n, 2 k), real parts before imaginary ones."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        bound = 1 / math.sqrt(n_inputs)
        self.weight = nn.Parameter(torch.empty(2, n_outputs, n_inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(2, n_outputs).uniform_(-bound, bound))

    def forward(self, h: Tensor) -> Tensor:
        """Map (n, 2 n_inputs) to (n, 2 n_outputs)."""
        real, imaginary = self.weight
        matrix = torch.cat([torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)])
        return torch.addmm(self.bias.flatten(), h, matrix.T)


def gabor(real: Tensor, imaginary: Tensor | None, omega: float, scale: float) -> Tensor:
    """Return exp(i omega z - |scale z|^2) of z = real + i imaginary, (n, k) each, as (n, 2 k); None is 0."""
    exponent = -(scale**2) * real.square()
    if imaginary is not None:
        exponent = exponent - scale**2 * imaginary.square() - omega * imaginary
    size, angle = torch.exp(exponent), omega * real
    return torch.cat([size * angle.cos(), size * angle.sin()], 1)


class Wire(CoordinateModel):
    """WIRE from (n, d) to (n, c), `depth` wavelet layers and a linear head on real and imaginary parts."""

    def __init__(self, config: WireConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        sizes = [config.width] * config.depth
        self.first = nn.Linear(n_inputs, config.width)
        self.layers = nn.ModuleList(ComplexLinear(a, b) for a, b in pairwise(sizes))
        self.head = nn.Linear(2 * config.width, n_outputs)
        with torch.no_grad():
            bound = 1 / math.sqrt(config.width)
            self.head.weight.uniform_(-bound, bound)
            self.head.bias.uniform_(-bound, bound)
        self.omega_first, self.omega_hidden, self.scale = (
            config.omega_first,
            config.omega_hidden,
            config.scale,
        )

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to real and imaginary parts of the last wavelet layer, (n, 2 width)."""
        h = gabor(self.first(coords), None, self.omega_first, self.scale)
        for layer in self.layers:
            real, imaginary = layer(h).chunk(2, 1)
            h = gabor(real, imaginary, self.omega_hidden, self.scale)
        return h
