"""Polynomial network: products of linear forms and nothing else, the CCP form of the Pi-nets.

    h_1 = U_1 x,   h_k = (U_k x) * h_{k-1} + h_{k-1}  for k = 2 ... N,   y = C h_N + b,   * elementwise.

A neuron is (u_1 . x) prod_{k=2..N} (1 + u_k . x), so y is a polynomial of degree N. Its coefficients of
degree m are the tensors sum_r C_r sum_{1 < k_2 < ... < k_m} u_1r o u_{k_2}r o ... o u_{k_m}r, o the outer
product: a canonical polyadic form whose factors are shared by all degrees. Of `depth` such polynomials each
takes the one before it plus a constant, h_N + b, as its input, behind a LayerNorm unless switched off. (The
norm alone would make a star at x = 0, where h_N is 0.) Without norms the degree is N^depth. It is
an `lrnn` in which every g is the identity.

Initialisation: U_1 ~ U(-1, 1) sqrt(3 / m), U_k ~ U(-1, 1) sqrt(3 / (m N)) for an input with E|x|^2 = m, which
is d / 3 for coordinates on [-1, 1]^d and n behind a LayerNorm of n neurons. Where |x|^2 = t m, h_N has the
mean square t (1 + t / N)^(N - 1) < t e^t, whatever N is: below e for t = 1, below 3 e^3 in the corners of the
cube. Constants b between polynomials ~ U(-1, 1) sqrt(3), as large as h_1; C, last b as torch's default.

Source: G. Chrysos, S. Moschoglou, G. Bouritsas, J. Deng, Y. Panagakis, S. Zafeiriou, Deep Polynomial Neural
Networks, IEEE TPAMI 2022 (Pi-nets, CVPR 2020), model CCP and products of polynomials; the initialisation
is this program's.
"""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, ModelConfig


class PolynomialConfig(ModelConfig):
    """Shape of a polynomial network."""

    default_lr: ClassVar[float] = 1e-2
    width: int = Field(160, ge=1, description="neurons per polynomial, the rank of its tensors")
    degree: int = Field(2, ge=1, le=256, description="degree N of each polynomial")
    depth: int = Field(5, ge=1, description="polynomials, each of the one before")
    layer_norm: bool = Field(True, description="LayerNorm between polynomials")


class CoupledPolynomial(nn.Module):
    """h_N, or h_N + b: (n, m) -> (n, width), one polynomial of degree N."""

    def __init__(
        self, n_inputs: int, config: PolynomialConfig, mean_square: float, *, constant: bool
    ) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        bound = math.sqrt(3.0 / mean_square)
        weight = torch.empty(config.degree, config.width, n_inputs).uniform_(-bound, bound)
        with torch.no_grad():
            weight[1:] *= 1.0 / math.sqrt(config.degree)
        self.weight = nn.Parameter(weight)
        bound = math.sqrt(3.0)
        self.bias = nn.Parameter(torch.empty(config.width).uniform_(-bound, bound)) if constant else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, m) to (n, width)."""
        h = x @ self.weight[0].T
        for u in self.weight[1:]:
            h = torch.addcmul(h, x @ u.T, h)
        return h if self.bias is None else h + self.bias


class Polynomial(CoordinateModel):
    """Polynomials of polynomials from (n, d) to (n, c) with a linear head."""

    def __init__(self, config: PolynomialConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        inner = [True] * (config.depth - 1) + [False]
        parts: list[nn.Module] = [CoupledPolynomial(n_inputs, config, n_inputs / 3.0, constant=inner[0])]
        for constant in inner[1:]:
            if config.layer_norm:
                parts.append(nn.LayerNorm(config.width))
            parts.append(CoupledPolynomial(config.width, config, float(config.width), constant=constant))
        self.polynomials = nn.Sequential(*parts)
        self.head = nn.Linear(config.width, n_outputs)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the last polynomial, (n, width)."""
        return self.polynomials(coords)
