"""What all domains share: the boundary as data, and points drawn inside."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

Vertex = tuple[float, float]


@dataclass(frozen=True)
class Boundary:
    """Points (n, d) on the boundary, outward normals (n, d), side numbers (n,) and weights (n,)."""

    points: Tensor
    normals: Tensor
    side: Tensor
    weights: Tensor


class Shape(BaseModel):
    """Base of the domains: data that a file can hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def heldout(self, n: int, seed: int) -> Tensor:
        """Return n scrambled Sobol points inside: (n, d), the same for the same seed."""
        lower, upper = (torch.tensor(b, dtype=torch.float64) for b in self.bounds())
        engine = torch.quasirandom.SobolEngine(len(lower), scramble=True, seed=seed)
        found: list[Tensor] = []
        while sum(map(len, found)) < n:
            points = lower + (upper - lower) * engine.draw(2 * n, dtype=torch.float64)
            found.append(points[self.inside(points)])
        return torch.cat(found)[:n]

    def heldout_quadrature(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return a rule for measuring: on boxes, discs and annuli at other points than `quadrature`'s."""
        return self.quadrature(n)

    def heldout_boundary(self, n: int, seed: int) -> Boundary:
        """Return boundary points for measuring: on boxes others than `boundary`'s."""
        return self.boundary(n)

    def quadrature(self, n: int) -> tuple[Tensor, Tensor]:
        """Return about n nodes (m, d) and their weights (m,)."""
        raise TypeError(f"{type(self).__name__} defines no quadrature")

    def boundary(self, n: int) -> Boundary:
        """Return about n points of the boundary."""
        raise TypeError(f"{type(self).__name__} defines no boundary")

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return lower and upper corner of the bounding box."""
        raise TypeError(f"{type(self).__name__} defines no bounds")

    def inside(self, points: Tensor) -> Tensor:
        """Tell for points (n, d) whether they lie inside or on the boundary: bool (n,)."""
        raise TypeError(f"{type(self).__name__} defines no inside")
