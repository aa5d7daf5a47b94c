"""Plane domains given by a function: where φ(x, y) ≤ 0, such as a signed distance.

The boundary is found where grid lines cross φ = 0: where the normal n points more along x than along y on
lines of constant y, else on lines of constant x, a distance h apart. A crossing then stands for the length
h / |n_x| or h / |n_y|. Quadrature takes Gauss nodes on the pieces inside of lines at Gauss nodes.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.expression import Expression, compile_expression
from lrnn_cli.numerics.gauss import gauss
from lrnn_cli.numerics.jets import Jet, constant
from lrnn_cli.numerics.shape import Boundary, Shape, Vertex

_STEPS = 512  # along a line, between which a change of sign is looked for
_BISECTIONS = 60
_COARSE = 200  # lines per axis for a first look
_FINE = 2000  # for the extent
_SEED = 1
_FLAT = 1e-3  # smallest slope on the boundary of a function fit for a mask, in parts of a typical one


class _TooThinError(ConfigError):
    def __init__(self) -> None:
        super().__init__(
            f"implicit: too thin, no grid line at {_STEPS} steps meets the domain; "
            "expected a bounding box that it fills: make that smaller"
        )


class Implicit(Shape):
    """φ(x, y) ≤ 0 inside a bounding box."""

    kind: Literal["implicit"] = "implicit"
    expression: str
    lower: Vertex
    upper: Vertex

    @model_validator(mode="after")
    def _check(self) -> Implicit:
        if not all(a < b for a, b in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"implicit: expected lower < upper, got {self.lower} and {self.upper}")
        try:
            level = _compiled(self.expression)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        lower, upper = (torch.tensor(b, dtype=torch.float64) for b in self.bounds())
        values = level(
            lower + (upper - lower) * torch.rand(4000, 2, dtype=torch.float64, generator=_generator())
        )
        if not bool(torch.isfinite(values).all()):
            raise ValueError("implicit: the function is not finite in the bounding box")
        if not bool((values < 0).any()):
            raise ValueError(
                "implicit: the function is nowhere negative in the bounding box, the domain is empty"
            )
        t = torch.linspace(0, 1, 801, dtype=torch.float64)
        rim = torch.cat([torch.stack([s, torch.full_like(s, e)], 1) for s in (t,) for e in (0.0, 1.0)])
        rim = lower + (upper - lower) * torch.cat([rim, rim.flip(1)])
        if bool((level(rim) < 0).any()):
            raise ValueError("implicit: the domain reaches beyond its bounding box; enlarge that")
        try:
            self.boundary(_COARSE)
            _rule(self, _COARSE**2)
        except _TooThinError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def level(self) -> Expression:
        """Return φ."""
        return _compiled(self.expression)

    @property
    def sides(self) -> tuple[str, ...]:
        """Return the name of the boundary."""
        return ("outer",)

    @property
    def volume(self) -> float:
        """Return its area, by quadrature."""
        return float(self.quadrature(_COARSE**2)[1].sum())

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the bounding box."""
        return self.lower, self.upper

    def inside(self, points: Tensor) -> Tensor:
        """Look at the sign of φ, a few roundings generously."""
        return _compiled(self.expression)(points) <= 1e-13

    def quadrature(self, n: int) -> tuple[Tensor, Tensor]:
        """Return about n Gauss nodes: lines of constant y, and on each the pieces that are inside."""
        return _rule(self, n)

    def boundary(self, n: int) -> Boundary:
        """Return about n points with normals, a nearly constant distance apart."""
        size = max(b - a for a, b in zip(*self.bounds(), strict=True))
        _, _, weights = self._crossings(size / _COARSE)
        if not len(weights):
            raise _TooThinError
        points, normals, weights = self._crossings(float(weights.sum()) / (1.1 * max(n, 16)))
        return Boundary(points, normals, torch.zeros(len(points), dtype=torch.int64), weights)

    def mask(self, points: Tensor) -> Jet | None:
        """-φ over the root of the area; none where φ has kinks or is no simple zero on the boundary."""
        level = _compiled(self.expression)
        if not level.smooth:
            return None
        where = self.boundary(_COARSE)
        slope = level.jet(where.points).gradient.norm(dim=0)
        size = math.sqrt(self.volume)
        typical = float(level(self.heldout(_COARSE, _SEED)).abs().max()) / size
        if float(slope.min()) < _FLAT * typical:
            return None
        return level.jet(points) * constant(-1.0 / (float(slope.mean()) * size), points)

    def _crossings(self, spacing: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return points on φ = 0, normals and the lengths that they stand for."""
        level, found = _compiled(self.expression), []
        for axis in (0, 1):
            a, b = self.lower[1 - axis], self.upper[1 - axis]
            lines = torch.arange(a + spacing / 2, b, spacing, dtype=torch.float64)
            along, line = self._cuts(axis, lines)
            points = _place(axis, along, lines[line])
            gradient = level.jet(points).gradient.T
            normals = gradient / gradient.norm(dim=1, keepdim=True)
            mine, other = normals[:, axis].abs(), normals[:, 1 - axis].abs()
            kept = mine > other if axis == 0 else mine >= other
            found.append((points[kept], normals[kept], spacing / mine[kept]))
        points, normals, weights = (torch.cat(parts) for parts in zip(*found, strict=True))
        return points, normals, weights

    def _cuts(self, axis: int, lines: Tensor) -> tuple[Tensor, Tensor]:
        """Return where lines along an axis cross φ = 0, in ascending order, and the number of the line."""
        level = _compiled(self.expression)
        steps = torch.linspace(self.lower[axis], self.upper[axis], _STEPS + 1, dtype=torch.float64)
        grid = _place(axis, *torch.meshgrid(steps, lines, indexing="ij"))
        negative = (level(grid.reshape(-1, 2)) < 0).reshape(grid.shape[:2])
        line, step = torch.nonzero((negative[1:] != negative[:-1]).T, as_tuple=True)
        low, high, fixed, start = steps[step], steps[step + 1], lines[line], negative[step, line]
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            same = (level(_place(axis, middle, fixed)) < 0) == start
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
        return (low + high) / 2, line


def _place(axis: int, along: Tensor, line: Tensor) -> Tensor:
    """Return points from the coordinate along an axis and the other one."""
    return torch.stack([along, line] if axis == 0 else [line, along], -1)


@lru_cache(maxsize=16)
def _extent(domain: Implicit) -> tuple[float, float]:
    """Return the least and the greatest y of a domain."""
    lines = torch.linspace(domain.lower[0], domain.upper[0], _FINE, dtype=torch.float64)
    along, _ = domain._cuts(1, lines)
    if not len(along):
        raise _TooThinError
    return float(along.min()), float(along.max())


@lru_cache(maxsize=16)
def _rule(domain: Implicit, n: int) -> tuple[Tensor, Tensor]:
    """Return about n nodes and weights: lines at Gauss nodes in y, Gauss nodes on their pieces inside."""
    size = max(3, round(math.sqrt(n)))
    y, y_weights = gauss(size, *_extent(domain))
    ends, line = domain._cuts(0, y)
    left, right, line = ends[0::2], ends[1::2], line[0::2]
    if not len(left):
        raise _TooThinError
    longest = float((right - left).max())
    points, weights = [], []
    for a, b, k in zip(left.tolist(), right.tolist(), line.tolist(), strict=True):
        x, x_weights = gauss(max(3, math.ceil(1.2 * size * (b - a) / longest)), a, b)
        points.append(torch.stack([x, torch.full_like(x, float(y[k]))], 1))
        weights.append(x_weights * y_weights[k])
    return torch.cat(points), torch.cat(weights)


@lru_cache(maxsize=16)
def _compiled(text: str) -> Expression:
    return compile_expression(text, 2, name="implicit", parameters={})


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(_SEED)
