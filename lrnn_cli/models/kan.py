"""Kolmogorov-Arnold network: a learnable function on every edge, sums in the nodes.

    h_o = sum_i (w_oi silu(x_i) + sum_{j=1..G+p} c_oij B_ij(x_i)),   silu(x) = x / (1 + e^-x),

B_ij: B-splines of degree p on G intervals of input i, continued by p intervals to either side, hence 0 far
outside. `depth` such layers are followed by one to the outputs.

Efficient form: a layer is linear in e(x) = (silu(x_i), B_i1(x_i), ..., B_i,G+p(x_i))_i, of which there are
k (1 + G + p) for k inputs, whatever the number of outputs; so it is e followed by one matrix product, and
nothing of size n x inputs x outputs arises. For the same reason the last layer is a linear head (with one
constant per output added) on the features e(h_L).

Knots: uniform on [-1, 1]; with `refit` they are moved at the start to the values that occur at random
points of [-1, 1]^d, which keeps the function (`refit_grid`, which may also be called later from Python). They
are stored with the model but are no parameters of it.

Initialisation: w ~ U(-1, 1) sqrt(6 / (n + m)) for n inputs and m outputs (Xavier), as the authors; c ~ N(0,
s^2) such that the splines give every node a standard deviation of 1/2, a grid half used (the authors' s =
0.1 suits few inputs only); the last layer as torch's default.

Source: Z. Liu et al., KAN: Kolmogorov-Arnold Networks, ICLR 2025, sections 2.2 and 2.4.
"""

import math
from itertools import pairwise
from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from lrnn_cli.models.contract import CoordinateModel, ModelConfig
from lrnn_cli.numerics.bsplines import bspline_basis, bspline_energy

SPREAD = 0.5  # initial standard deviation of a node's splines, on a grid that reaches from -1 to 1
UNIFORM = 0.5  # part of the uniform grid in a refitted one; the rest follows the quantiles
REFIT_POINTS = 1024  # at least
SMALLEST_INTERVAL = 1e-3  # of a refitted grid, for inputs that hardly vary


class KanConfig(ModelConfig):
    """Shape and splines of a KAN."""

    default_lr: ClassVar[float] = 1e-3
    width: int = Field(32, ge=1, description="nodes per layer")
    depth: int = Field(2, ge=1, description="hidden layers of nodes")
    grid: int = Field(8, ge=1, description="intervals G of the splines")
    order: int = Field(3, ge=1, le=7, description="degree p of the splines")
    refit: bool = Field(False, description="move all knots at the start to the values that occur")


class EdgeFunctions(nn.Module):
    """e: (n, k) -> (n, k (1 + G + p)): silu of all inputs, then the B-splines input by input."""

    knots: Tensor

    def __init__(self, n_inputs: int, config: KanConfig) -> None:
        """Lay uniform knots."""
        super().__init__()
        self.grid, self.order = config.grid, config.order
        self.n_features = n_inputs * (1 + self.grid + self.order)
        steps = torch.arange(-self.order, self.grid + self.order + 1)
        self.register_buffer("knots", (2.0 * steps / self.grid - 1.0).repeat(n_inputs, 1))

    def splines(self, x: Tensor) -> Tensor:
        """Map (n, k) to (n, k, G + p)."""
        return bspline_basis(x, self.knots, self.order)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, k) to (n, k (1 + G + p))."""
        return torch.cat([functional.silu(x), self.splines(x).flatten(1)], 1)

    def move_knots(self, x: Tensor) -> Tensor:
        """Move the knots to the quantiles of x (n, k).

        Returns:
            the matrices (k, G + p, G + p) that turn coefficients for the old knots into those of the
            least-squares fit on x for the new ones.
        """
        old = self.splines(x).double()
        ends = torch.stack([x.amin(0), x.amax(0)], 1).double()  # (k, 2)
        margin = (0.01 * (ends[:, 1] - ends[:, 0])).clamp_min(SMALLEST_INTERVAL * self.grid)
        low, high = ends[:, :1] - margin[:, None], ends[:, 1:] + margin[:, None]
        parts = torch.linspace(0, 1, self.grid + 1, dtype=torch.float64, device=x.device)
        inside = x.sort(0).values[((x.shape[0] - 1) * parts).round().long()].T.double()
        inside[:, :1], inside[:, -1:] = low, high
        inside = UNIFORM * (low + (high - low) * parts) + (1 - UNIFORM) * inside
        step = (high - low) / self.grid
        outside = step * torch.arange(1, self.order + 1, dtype=torch.float64, device=x.device)
        self.knots.copy_(torch.cat([low - outside.flip(1), inside, high + outside], 1))
        new = bspline_basis(x.double(), self.knots.double(), self.order)
        gram = torch.einsum("nki,nkj->kij", new, new)
        return torch.linalg.pinv(gram, hermitian=True) @ torch.einsum("nki,nkj->kij", new, old)


class Kan(CoordinateModel):
    """KAN from (n, d) to (n, c) with `depth` hidden layers."""

    def __init__(self, config: KanConfig, n_inputs: int, n_outputs: int) -> None:
        """Draw the initial weights from the global generator."""
        super().__init__()
        sizes = [n_inputs] + [config.width] * config.depth
        edges = [EdgeFunctions(k, config) for k in sizes]
        layers = [nn.Linear(edge.n_features, config.width, bias=False) for edge in edges[:-1]]
        self.edges, self.layers = nn.ModuleList(edges), nn.ModuleList(layers)
        self.head = nn.Linear(edges[-1].n_features, n_outputs)
        with torch.no_grad():
            for layer, (n, m) in zip(layers, pairwise(sizes), strict=True):
                bound = math.sqrt(6.0 / (n + m))
                layer.weight[:, :n].uniform_(-bound, bound)
                layer.weight[:, n:].normal_(std=SPREAD / math.sqrt(n * bspline_energy(config.order)))
        if config.refit and not self.head.weight.is_meta:
            n = max(REFIT_POINTS, 4 * (config.grid + config.order))
            self.refit_grid(torch.empty(n, n_inputs).uniform_(-1, 1))

    def features(self, coords: Tensor) -> Tensor:
        """Map (n, d) to the edge functions of the last nodes, (n, width (1 + G + p))."""
        for edge, layer in zip(self.edges, self.layers, strict=False):
            coords = layer(edge(coords))
        return self.edges[-1](coords)

    @torch.no_grad()
    def refit_grid(self, coords: Tensor) -> None:
        """Move the knots of all layers to the values that occur, and fit the splines to what they were.

        The new knots are half quantiles and half uniform, from the smallest to the largest value and 1 %
        further, per input. New coefficients minimise the squared change of every edge's function over the
        points, by normal equations in float64 that all outputs share.

        Args:
            coords: points (n, d), more than grid intervals.
        """
        x = coords
        for edge, layer in zip(self.edges, [*self.layers, self.head], strict=True):
            splines, linear = cast(EdgeFunctions, edge), cast(nn.Linear, layer)
            n = x.shape[1]
            change = splines.move_knots(x)  # (n, G + p, G + p)
            old = linear.weight[:, n:].unflatten(1, (n, -1)).double()  # (m, n, G + p)
            linear.weight[:, n:] = torch.einsum("kij,okj->oki", change, old).flatten(1).to(x.dtype)
            x = linear(splines(x))
