"""FINER: an MLP with variable-periodic activations.

    h_k = sin(omega_0 (|z| + 1) z),   z = W_k h_{k-1} + b_k,   y = W h_L + b.

The local frequency omega_0 (2 |z| + 1) grows with |z|, so that the spread of the first layer's biases
decides which frequencies are at hand. The derivative is that of the formula; the authors' code leaves |z| +
1 out of it.

Initialisation: as `siren`, but the first biases ~ U(-1, 1) `first_bias`.

Source: Z. Liu et al., FINER: Flexible Spectral-bias Tuning in Implicit NEural Representation by
Variable-periodic Activation Functions, CVPR 2024.
"""

from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.siren import Siren, SirenConfig


class FinerConfig(SirenConfig):
    """Shape and constants of a FINER network."""

    default_lr: ClassVar[float] = 5e-4
    first_bias: float = Field(1.0, gt=0, description="bound k of the first layer's initial biases, U(-k, k)")


class Finer(Siren):
    """FINER network from (n, d) to (n, c) with `depth` layers and a linear head."""

    def __init__(self, config: FinerConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__(config, n_inputs, n_outputs)
        with torch.no_grad():
            cast(nn.Linear, self.layers[0]).bias.uniform_(-config.first_bias, config.first_bias)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the outputs of the last layer, (n, width)."""
        for omega, layer in zip(self.omegas, self.layers, strict=True):
            z = layer(coords)
            coords = torch.sin(omega * (z.abs() + 1) * z)
        return coords
