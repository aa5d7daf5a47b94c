"""The cylinder (0, T) × Ω over a domain Ω: where unsteady problems live. The first coordinate is time.

Its data are given on the initial face {0} × Ω, side 0, and on the mantle (0, T) × ∂Ω, side 1 + k for side k
of Ω. The final face has none: an equation of first order in t takes no condition there.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from lrnn_cli.numerics.domains import AnyDomain
from lrnn_cli.numerics.gauss import gauss
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.shape import Boundary, Shape


class Cylinder(Shape):
    """(0, time_to) × base."""

    kind: Literal["cylinder"] = "cylinder"
    base: AnyDomain
    time_to: float = Field(gt=0)

    @property
    def sides(self) -> tuple[str, ...]:
        """Return `initial`, then the sides of the base."""
        return ("initial", *self.base.sides)

    @property
    def volume(self) -> float:
        """Return T |Ω|."""
        return self.time_to * self.base.volume

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the corners, time first."""
        lower, upper = self.base.bounds()
        return (0.0, *lower), (self.time_to, *upper)

    def inside(self, points: Tensor) -> Tensor:
        """Ask both factors."""
        time = points[:, 0]
        return (time >= 0) & (time <= self.time_to) & self.base.inside(points[:, 1:])

    def quadrature(self, n: int) -> tuple[Tensor, Tensor]:
        """Return about n nodes and their weights: Gauss in time, the rule of the base in space."""
        n_time = max(2, round(n ** (1 / len(self.bounds()[0]))))
        times, time_weights = gauss(n_time, 0.0, self.time_to)
        places, place_weights = self.base.quadrature(max(1, round(n / len(times))))
        return _pairs(times, places), torch.outer(time_weights, place_weights).ravel()

    def boundary(self, n: int) -> Boundary:
        """Return about n points: 1 / (2 d + 1) of them initial: a box has 2 d further faces."""
        d = len(self.bounds()[0]) - 1
        start, start_weights = self.base.quadrature(max(4, n // (2 * d + 1)))
        rest = max(4, n - len(start))
        times, time_weights = gauss(max(2, round((rest / (2 * d)) ** (1 / d))), 0.0, self.time_to)
        edge = self.base.boundary(max(2, round(rest / len(times))))
        points = torch.cat([_pairs(start.new_zeros(1), start), _pairs(times, edge.points)])
        normals = torch.zeros_like(points)
        normals[: len(start), 0] = -1.0
        normals[len(start) :, 1:] = edge.normals.repeat(len(times), 1)
        side = torch.cat([torch.zeros(len(start), dtype=torch.int64), 1 + edge.side.repeat(len(times))])
        weights = torch.cat([start_weights, torch.outer(time_weights, edge.weights).ravel()])
        return Boundary(points, normals, side, weights)

    def mask(self, points: Tensor) -> Jet | None:
        """Return None: all conditions are rows."""
        return None


def _pairs(times: Tensor, places: Tensor) -> Tensor:
    """Return all (t, x): (m k, 1 + d) for times (m,) and places (k, d), places fastest."""
    first = times.repeat_interleave(len(places))[:, None]
    return torch.cat([first, places.repeat(len(times), 1)], 1)
