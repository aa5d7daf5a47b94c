"""Multiplicative network: one sum of products, in which products are the representation itself.

    y(x) = sum_i c_i prod_{j=1..J} sigma(a_ij . x + b_ij) + c_0,   c_i in R^c for c outputs,
    bump:      sigma(t) = exp(-t^2 / (1 - t^2)) for |t| < 1, else 0: infinitely differentiable, sigma(0) = 1,
    sigmoid:   sigma(t) = 1 / (1 + e^-t).

The support of a unit of bumps is the intersection of J strips |a_ij . x + b_ij| < 1, bounded when the a_ij
span R^d, J >= d; one of sigmoids decays exponentially in every direction when the a_ij surround 0, J > d; it
starts with J = 2 d. The product is taken factor by factor, so that its derivatives are made of products,
too: nothing is divided, and factors may vanish.

Initialisation: unit i has a centre m_i ~ U(-1, 1)^d, a half width w_i and directions e_ij from random
reflections 1 - 2 v v^T / |v|^2, every d of them orthonormal. Bumps: a_ij = e_ij / w_i, b_ij = -a_ij . m_i.
Sigmoids in pairs of opposite directions: a_ij = +-s e_ij / w_i, b_ij = s - a_ij . m_i, with s such that a
unit is 1/2 at its centre; its factor is 1/2 at m_i -+ w_i e_ij. w_i = 2^U(-1, 1) (kappa / r)^(1/d) for r
units: about kappa (`overlap`) of them cover a point. c as torch's default.

Source: H.-S. Choi and B.-S. Han, A Multiplicative Neural Network Architecture: Locality and Regularity of
Approximation, arXiv 2602.06374, 2026; bump, widths and centres are this program's.
"""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lrnn_cli.models.contract import CoordinateModel, ModelConfig

EDGE = 1 / 256  # 1 - t^2 at which the bump counts as 0: it is e^-255 there


class MultiplicativeConfig(ModelConfig):
    """Shape and factors of a multiplicative network."""

    default_lr: ClassVar[float] = 0.1
    default_lstsq: ClassVar[tuple[str, ...]] = ()  # units are many, and the system grows as their square
    width: int = Field(1024, ge=1, description="units, terms of the sum")
    factor: Literal["bump", "sigmoid"] = Field("bump", description="sigma, the function in the products")
    factors: int | None = Field(
        None,
        ge=1,
        le=256,
        description="factors J per unit; left out the fewest that make it local, d bumps or 2 d sigmoids",
    )
    overlap: float = Field(8.0, gt=0, description="units that cover a point at the start")


def bump(t: Tensor) -> Tensor:
    """Return exp(-t^2 / (1 - t^2)) for |t| < 1, else 0."""
    square = t.square()
    inside = square < 1.0 - EDGE
    square = torch.where(inside, square, torch.zeros_like(t))  # keeps the derivative outside finite
    return torch.where(inside, torch.exp(-square / (1.0 - square)), torch.zeros_like(t))


def directions(units: int, count: int, dimension: int) -> Tensor:
    """Return `count` directions per unit (count, units, d), every d of them in turn orthonormal."""
    frames = -(-count // dimension)
    v = torch.randn(frames, 1, units, dimension)
    v = v / v.norm(dim=-1, keepdim=True)
    rows = torch.eye(dimension).view(1, dimension, 1, dimension)
    return (rows - 2.0 * v * v.permute(0, 3, 2, 1)).flatten(0, 1)[:count]


class Multiplicative(CoordinateModel):
    """Multiplicative network from (n, d) to (n, c)."""

    def __init__(self, config: MultiplicativeConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        units, bumps = config.width, config.factor == "bump"
        n_factors = config.factors or (n_inputs if bumps else 2 * n_inputs)
        self.sigma = bump if bumps else torch.sigmoid
        centre = torch.empty(units, n_inputs).uniform_(-1, 1)
        spread = torch.empty(units, 1).uniform_(-1, 1).exp2()
        half_width = (config.overlap / units) ** (1 / n_inputs) * spread
        if bumps:
            weight, shift = directions(units, n_factors, n_inputs) / half_width, 0.0
        else:
            level = 2.0 ** (-1.0 / max(2, n_factors))  # of a factor at the centre; 1/2 would be no slope
            shift = math.log(level / (1.0 - level))
            pairs = directions(units, (n_factors + 1) // 2, n_inputs)
            weight = shift * torch.stack([pairs, -pairs], 1).flatten(0, 1)[:n_factors] / half_width
        self.weight = nn.Parameter(weight.contiguous())  # (J, units, d)
        self.bias = nn.Parameter(shift - (weight * centre).sum(-1))  # (J, units)
        self.head = nn.Linear(units, n_outputs)

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the units (n, width)."""
        product: Tensor | None = None
        for a, b in zip(self.weight, self.bias, strict=True):
            value = self.sigma(torch.addmm(b, coords, a.T))
            product = value if product is None else product * value
        assert product is not None
        return product
