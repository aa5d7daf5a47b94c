"""A shallow product network on an equation, all weights free: residuals and their dense Jacobian."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lrnn_cli.fitting.blocks import BlockRunner, paired
from lrnn_cli.fitting.fields import ProductField
from lrnn_cli.fitting.linear_features import ProductFeatures, draw_features
from lrnn_cli.numerics.calculus import product_rows, sine_factors
from lrnn_cli.numerics.product_jacobian import product_jacobian
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.objectives.poisson import Problem

BLOCK = 450  # rows per thread and turn: arrays of some 100 kB each


@dataclass(frozen=True)
class ProductNetwork:
    """u = Σ_ℓ S_ℓ φ_ℓ, behind lift and mask where the boundary is hard; else plus a constant.

    Features, output layer S (r,) and shift (0,) or (1,).
    """

    features: ProductFeatures
    head: Tensor
    shift: Tensor

    def vector(self) -> Tensor:
        """Return all parameters as one vector (P,): a in the order (d, D, r), b, v, S, shift."""
        f = self.features
        parts = (f.weight.movedim(2, 0), f.bias, f.amplitude, self.head, self.shift)
        return torch.cat([part.reshape(-1) for part in parts])

    def moved(self, step: Tensor) -> ProductNetwork:
        """Return the network with θ + step."""
        f = self.features
        n_factors, rank, d = f.weight.shape
        sizes = (n_factors * rank * d, n_factors * rank, n_factors * rank, rank, len(self.shift))
        a, b, v, head, shift = step.split(sizes)
        weight = f.weight + a.view(d, n_factors, rank).movedim(0, 2)
        features = ProductFeatures(weight, f.bias + b.view_as(f.bias), f.amplitude + v.view_as(f.amplitude))
        return ProductNetwork(features, self.head + head, self.shift + shift)

    def residual(self, rows: Rows, runner: BlockRunner) -> Tensor:
        """Return ρ (n,)."""
        f = self.features
        factors = sine_factors(f.amplitude)

        def block(span: tuple[int, int]) -> Tensor:
            part = rows.take(slice(*span))
            values = product_rows(f.weight, f.bias, factors, part) @ self.head
            return values + part.zeroth * self.shift.sum() - part.target

        return torch.cat(list(runner.map(block, paired(len(rows), BLOCK))))

    def jacobian(self, rows: Rows, runner: BlockRunner) -> tuple[Tensor, Tensor]:
        """Return ρ (n,) and J (n, P) in closed form."""
        f = self.features
        rank, n_shift = len(self.head), len(self.shift)
        n_inner = f.weight.numel() + f.bias.numel() + f.amplitude.numel()
        jacobian = torch.empty(len(rows), n_inner + rank + n_shift, dtype=torch.float64)

        def block(span: tuple[int, int]) -> None:
            part = slice(*span)
            target = jacobian[part, : n_inner + rank]
            product_jacobian(f.weight, f.bias, f.amplitude, rows.take(part), self.head, target)

        list(runner.map(block, paired(len(rows), BLOCK)))
        jacobian[:, n_inner + rank :] = rows.zeroth[:, None]
        values = jacobian[:, n_inner : n_inner + rank] @ self.head
        return values + rows.zeroth * self.shift.sum() - rows.target, jacobian

    def field(self, problem: Problem) -> ProductField:
        """Return the solution that it stands for."""
        return ProductField(problem, self.features, self.head, shift=float(self.shift.sum()))


def start_network(problem: Problem, rank: int, n_factors: int, omega: float, seed: int) -> ProductNetwork:
    """Draw a network: inner weights as for least squares, S ~ 0.1 N(0, 1) / √r."""
    features = draw_features(problem.domain.bounds(), rank, n_factors, omega, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    head = torch.randn(rank, generator=generator, dtype=torch.float64) * (0.1 / math.sqrt(rank))
    shift = torch.zeros(0 if problem.hard else 1, dtype=torch.float64)
    return ProductNetwork(features, head, shift)
