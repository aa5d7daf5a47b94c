"""Singular functions at re-entrant corners, as further columns beside smooth features.

At a corner of inner angle ω between two Dirichlet (or two Neumann) sides the solution of -Δu = f behaves
like a sum of

    s_k = ρ^α sin α θ  (or cos),    α = k π / ω,   k = 1, 2, …,

in polar coordinates around the corner, θ from the side that leaves it counter-clockwise. They are
harmonic, their gradient is unbounded for α < 1, and smooth functions approximate them slowly: four to six
digits are lost without these columns. Source: P. Grisvard, Elliptic Problems in Nonsmooth Domains, 1985.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lrnn_cli.numerics.domains import Polygon
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.objectives.poisson import Problem

FUNCTIONS_PER_CORNER = 8


@dataclass(frozen=True)
class SingularFunction:
    """One s_k: corner (x, y), direction of θ = 0, exponent α, and sin or cos."""

    x: float
    y: float
    direction: float
    exponent: float
    cosine: bool

    def jet(self, points: Tensor) -> Jet:
        """Return value, gradient and Laplacian 0 at points (n, 2).

        The gradient at the corner itself is given as 0.
        """
        dx, dy = points[:, 0] - self.x, points[:, 1] - self.y
        radius = torch.hypot(dx, dy)
        theta = torch.remainder(torch.atan2(dy, dx) - self.direction, 2 * math.pi)
        # just below the side θ = 0 rounding must not wrap around to 2π
        theta = torch.where(theta > 2 * math.pi - 1e-9, theta - 2 * math.pi, theta)
        safe = torch.where(radius > 0, radius, torch.ones_like(radius))
        zero = torch.zeros_like(radius)
        power = torch.where(radius > 0, safe**self.exponent, zero)
        slope = self.exponent * torch.where(radius > 0, safe ** (self.exponent - 1), zero)
        turned = (self.exponent - 1) * theta - self.direction
        if self.cosine:
            value, first, second = (self.exponent * theta).cos(), turned.cos(), -turned.sin()
        else:
            value, first, second = (self.exponent * theta).sin(), turned.sin(), turned.cos()
        return Jet(power * value, torch.stack([slope * first, slope * second]), torch.zeros_like(radius))


@dataclass(frozen=True)
class Enrichment:
    """All singular functions of a problem; there may be none."""

    functions: tuple[SingularFunction, ...] = ()

    def __len__(self) -> int:
        return len(self.functions)

    def columns(self, rows: Rows) -> Tensor:
        """Return every function's value of every row: (n, number of functions)."""
        if not self.functions:
            return rows.points.new_zeros(len(rows), 0)
        return torch.stack([rows.apply(function.jet(rows.points)) for function in self.functions], 1)

    def jet(self, points: Tensor, head: Tensor) -> Jet:
        """Return the jet of their sum with coefficients head (k,)."""
        jets = [function.jet(points) * weight for function, weight in zip(self.functions, head, strict=True)]
        total = jets[0]
        for jet in jets[1:]:
            total = total + jet
        return total


def find_enrichment(problem: Problem) -> tuple[Enrichment, list[str]]:
    """Return the singular functions of a problem, and what to say where a corner has none that is known."""
    domain = problem.domain
    functions, notes = [], []
    for corner in domain.reentrant() if isinstance(domain, Polygon) else []:
        assert isinstance(domain, Polygon)
        k = domain.vertices.index(corner.vertex)
        kinds = {problem.sides[k][0], problem.sides[k - 1][0]}
        if len(kinds) == 2:
            notes.append(
                f"no singular functions for the corner {corner.vertex}: its sides are of different kinds"
            )
            continue
        functions += [
            SingularFunction(*corner.vertex, corner.direction, n * math.pi / corner.angle, kinds == {False})
            for n in range(1, FUNCTIONS_PER_CORNER + 1)
        ]
    return Enrichment(tuple(functions)), notes
