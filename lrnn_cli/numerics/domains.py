"""Domains of partial differential equations, as data that a file can hold: box, disc, annulus, polygon.

Any other plane domain is given by a function (`implicit_domain`).

Each knows its inside, its boundary with outward normals, a quadrature rule, its bounding box, and, where
there is a smooth one, a mask m: positive inside, 0 on the boundary, so that u = m N vanishes there
exactly whatever N is. All arrays are torch float64; points are (n, d).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from lrnn_cli.numerics import jets, polygons
from lrnn_cli.numerics.gauss import gauss
from lrnn_cli.numerics.implicit_domain import Implicit
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.shape import Boundary, Shape, Vertex

SOLVING_SEED = 1  # of the points of a box at which equations are solved; with others they are measured


class Box(Shape):
    """Π [lower_k, upper_k] in any dimension."""

    kind: Literal["box"] = "box"
    lower: tuple[float, ...] = (0.0, 0.0)
    upper: tuple[float, ...] = (1.0, 1.0)

    @model_validator(mode="after")
    def _check(self) -> Box:
        if not self.lower or len(self.lower) != len(self.upper):
            raise ValueError("box: expected as many lower as upper corners, at least one")
        if not all(a < b for a, b in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"box: expected lower < upper on every axis, got {self.lower} and {self.upper}")
        return self

    @property
    def sides(self) -> tuple[str, ...]:
        """Names of the faces: x0, x1, y0, y1 … by axis and end; from four dimensions on x1_0, x1_1 …."""
        axes = (
            "xyz"[: len(self.lower)]
            if len(self.lower) <= 3
            else [f"x{k + 1}_" for k in range(len(self.lower))]
        )
        return tuple(f"{axis}{end}" for axis in axes for end in (0, 1))

    @property
    def volume(self) -> float:
        """Return its measure."""
        return math.prod(b - a for a, b in zip(self.lower, self.upper, strict=True))

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the corners."""
        return self.lower, self.upper

    def inside(self, points: Tensor) -> Tensor:
        """Compare with the corners."""
        return ((points >= points.new_tensor(self.lower)) & (points <= points.new_tensor(self.upper))).all(1)

    def quadrature(self, n: int) -> tuple[Tensor, Tensor]:
        """Return about n nodes and their weights: Gauss-Legendre up to three dimensions, Sobol beyond."""
        return self.heldout_quadrature(n, SOLVING_SEED)

    def heldout_quadrature(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return a rule whose Sobol points, beyond three dimensions, have this seed.

        Up to three, any seed but that of `quadrature` stands for Gauss nodes on both halves of every axis.
        """
        d = len(self.lower)
        if d > 3:
            return self.heldout(n, seed), torch.full((n,), self.volume / n, dtype=torch.float64)
        count, halves = max(2, round(n ** (1 / d))), seed != SOLVING_SEED
        return product_rule([_line(count, a, b, halves) for a, b in zip(self.lower, self.upper, strict=True)])

    def boundary(self, n: int) -> Boundary:
        """Return about n points: Gauss nodes on the faces, Sobol points from five dimensions on."""
        return self.heldout_boundary(n, SOLVING_SEED)

    def heldout_boundary(self, n: int, seed: int) -> Boundary:
        """Return about n points: Sobol points of this seed, or Gauss nodes on halves of the faces."""
        d = len(self.lower)
        parts = []
        for k in range(d):
            rest = [j for j in range(d) if j != k]
            if d == 1:
                face, weights = torch.zeros(1, 0, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
            else:
                other = Box(
                    lower=tuple(self.lower[j] for j in rest), upper=tuple(self.upper[j] for j in rest)
                )
                face, weights = other.heldout_quadrature(max(1, n // (2 * d)), seed)
            for end, value in enumerate((self.lower[k], self.upper[k])):
                points = face.new_full((len(face), d), value)
                points[:, rest] = face
                normals = torch.zeros_like(points)
                normals[:, k] = 2.0 * end - 1.0
                parts.append((points, normals, torch.full((len(points),), 2 * k + end), weights))
        return Boundary(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def mask(self, points: Tensor) -> Jet | None:
        """Π 4 (x_k - lower_k)(upper_k - x_k) / L_k²; none beyond three dimensions, where it is tiny."""
        if len(self.lower) > 3:
            return None
        product = jets.constant(1.0, points)
        for x, a, b in zip(jets.coordinates(points), self.lower, self.upper, strict=True):
            scale = points.new_tensor(4.0 / (b - a) ** 2)
            product = product * ((x + points.new_tensor(-a)) * (-x + points.new_tensor(b)) * scale)
        return product


class Annulus(Shape):
    """inner ≤ |x - centre| ≤ outer in the plane; inner = 0 is a disc."""

    kind: Literal["annulus"] = "annulus"
    centre: Vertex = (0.0, 0.0)
    inner: float = Field(0.5, ge=0)
    outer: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Annulus:
        if self.inner >= self.outer:
            raise ValueError(f"annulus: expected inner < outer radius, got {self.inner:g} and {self.outer:g}")
        return self

    @property
    def sides(self) -> tuple[str, ...]:
        """Return the names of the circles."""
        return ("outer", "inner") if self.inner else ("outer",)

    @property
    def volume(self) -> float:
        """Return its area."""
        return math.pi * (self.outer**2 - self.inner**2)

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the square around the outer circle."""
        (x, y), r = self.centre, self.outer
        return (x - r, y - r), (x + r, y + r)

    def inside(self, points: Tensor) -> Tensor:
        """Compare the distance from the centre with the radii, a few roundings generously."""
        distance = (points - points.new_tensor(self.centre)).norm(dim=1)
        slack = 1e-14 * self.outer
        return (distance >= self.inner - slack) & (distance <= self.outer + slack)

    def quadrature(self, n: int) -> tuple[Tensor, Tensor]:
        """Return about n nodes: Gauss in the radius, trapezoidal in the angle, weights r dr dθ."""
        return self._polar(n, 0.5)

    def heldout_quadrature(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return the same, turned by a quarter of the angle between two nodes."""
        return self._polar(n, 0.25)

    def _polar(self, n: int, turn: float) -> tuple[Tensor, Tensor]:
        m = max(3, round(math.sqrt(n / 4)))
        radius, weight = gauss(m, self.inner, self.outer)
        n_angles = 4 * m
        theta = 2 * math.pi * (torch.arange(n_angles, dtype=torch.float64) + turn) / n_angles
        points = torch.stack(
            [torch.outer(radius, theta.cos()).ravel(), torch.outer(radius, theta.sin()).ravel()], 1
        )
        weights = (radius * weight * 2 * math.pi / n_angles).repeat_interleave(n_angles)
        return points + points.new_tensor(self.centre), weights

    def boundary(self, n: int) -> Boundary:
        """Return about n points, evenly spread over each circle by its length."""
        parts = []
        for side, radius in enumerate((self.outer, self.inner)[: len(self.sides)]):
            share = max(8, round(n * radius / (self.outer + self.inner)))
            theta = 2 * math.pi * torch.arange(share, dtype=torch.float64) / share
            normals = torch.stack([theta.cos(), theta.sin()], 1)
            points = normals * radius + normals.new_tensor(self.centre)
            weights = torch.full((share,), 2 * math.pi * radius / share, dtype=torch.float64)
            parts.append((points, normals if side == 0 else -normals, torch.full((share,), side), weights))
        return Boundary(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def mask(self, points: Tensor) -> Jet | None:
        """(R² - ρ²) / R², times (ρ² - R_0²) / R² for an annulus."""
        x, y = jets.coordinates(points - points.new_tensor(self.centre))
        scale = points.new_tensor(1.0 / self.outer**2)
        squared = (x * x + y * y) * scale
        disc = -squared + points.new_tensor(1.0)
        return disc * (squared + points.new_tensor(-((self.inner / self.outer) ** 2))) if self.inner else disc


class Disc(Shape):
    """|x - centre| ≤ radius in the plane."""

    kind: Literal["disc"] = "disc"
    centre: Vertex = (0.0, 0.0)
    radius: float = Field(1.0, gt=0)

    @property
    def _ring(self) -> Annulus:
        return Annulus(centre=self.centre, inner=0.0, outer=self.radius)

    @property
    def sides(self) -> tuple[str, ...]:
        """Return the name of the circle."""
        return ("outer",)

    @property
    def volume(self) -> float:
        """Return its area."""
        return math.pi * self.radius**2

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the square around it."""
        return self._ring.bounds()

    def inside(self, points: Tensor) -> Tensor:
        """Compare the distance from the centre with the radius."""
        return self._ring.inside(points)

    def quadrature(self, n: int) -> tuple[Tensor, Tensor]:
        """Return about n polar nodes and their weights."""
        return self._ring.quadrature(n)

    def heldout_quadrature(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return the same, turned."""
        return self._ring.heldout_quadrature(n, seed)

    def boundary(self, n: int) -> Boundary:
        """Return n points evenly spread over the circle."""
        return self._ring.boundary(n)

    def mask(self, points: Tensor) -> Jet | None:
        """1 - |x - centre|² / radius²."""
        return self._ring.mask(points)


class Polygon(Shape):
    """A simple polygon, given by its vertices in either order.

    The default is the L-shape, re-entrant at the origin.
    """

    kind: Literal["polygon"] = "polygon"
    vertices: tuple[Vertex, ...] = polygons.L_SHAPE

    _turned: bool = PrivateAttr(False)

    @model_validator(mode="after")
    def _check(self) -> Polygon:
        given = self.vertices
        object.__setattr__(self, "vertices", polygons.checked(given))
        self._turned |= self.vertices[1] != given[1]  # a model that holds one checks it again
        return self

    def __eq__(self, other: object) -> bool:
        """Compare the vertices, in whichever order they were given."""
        return isinstance(other, Polygon) and self.vertices == other.vertices

    def __hash__(self) -> int:
        """Hash the vertices."""
        return hash(self.vertices)

    @property
    def was_clockwise(self) -> bool:
        """Tell whether the vertices were given in that order: sides count the other way then."""
        return self._turned

    @property
    def sides(self) -> tuple[str, ...]:
        """Return edge1, edge2, …, counter-clockwise; edge k leaves vertex k."""
        return tuple(f"edge{k + 1}" for k in range(len(self.vertices)))

    @property
    def volume(self) -> float:
        """Return its area."""
        return polygons.signed_area(self.vertices)

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the bounding box of the vertices."""
        xs, ys = zip(*self.vertices, strict=True)
        return (min(xs), min(ys)), (max(xs), max(ys))

    def inside(self, points: Tensor) -> Tensor:
        """Count crossings of a ray (even-odd rule)."""
        return torch.from_numpy(polygons.contains(self.vertices, points.numpy()))

    def quadrature(self, n: int) -> tuple[Tensor, Tensor]:
        """Return about n Gauss nodes over the triangles of an ear clipping."""
        nodes, weights = polygons.quadrature(self.vertices, n)
        return torch.from_numpy(nodes), torch.from_numpy(weights)

    def boundary(self, n: int) -> Boundary:
        """Return about n Gauss nodes, shared by the edges by their length."""
        corners = np.array(self.vertices)
        edges = np.roll(corners, -1, 0) - corners
        lengths = np.hypot(*edges.T)
        parts = []
        for k, (start, edge, length) in enumerate(zip(corners, edges, lengths, strict=True)):
            t, weights = gauss(max(4, round(n * length / lengths.sum())), 0.0, 1.0)
            points = torch.from_numpy(start) + t[:, None] * torch.from_numpy(edge)
            normal = torch.tensor([edge[1] / length, -edge[0] / length], dtype=torch.float64)
            parts.append((points, normal.expand(len(t), 2), torch.full((len(t),), k), weights * length))
        return Boundary(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def mask(self, points: Tensor) -> Jet | None:
        """Product of the distances from the edges of a convex polygon; none for others.

        An edge that goes on in the direction of the one before counts once with it: the square of a distance
        would keep the slope at 0, too.

        Args:
            points: (n, 2).

        Returns:
            the jet of the product, or None.
        """
        if self.reentrant():
            return None
        size = math.sqrt(self.volume)
        product = jets.constant(1.0, points)
        x, y = jets.coordinates(points)
        ends = self.vertices[1:] + self.vertices[:1]
        for corner, (bx, by) in zip(polygons.corners(self.vertices), ends, strict=True):
            ax, ay = corner.vertex
            if abs(corner.angle - math.pi) < 1e-9:
                continue
            length = math.hypot(bx - ax, by - ay) * size / 2
            a, b = points.new_tensor(-(by - ay) / length), points.new_tensor((bx - ax) / length)
            product = product * (x * a + y * b + (-(a * ax) - b * ay))
        return product

    def reentrant(self) -> list[polygons.Corner]:
        """Return the corners with an inner angle above π."""
        return [corner for corner in polygons.corners(self.vertices) if corner.angle > math.pi * (1 + 1e-9)]


Domain = Box | Disc | Annulus | Polygon | Implicit
AnyDomain = Annotated[Domain, Field(discriminator="kind")]


def _line(count: int, a: float, b: float, halves: bool) -> tuple[Tensor, Tensor]:
    """Return count Gauss nodes on [a, b], or half as many, rounded up, on each half."""
    if not halves:
        return gauss(count, a, b)
    parts = [gauss((count + 1) // 2, *ends) for ends in ((a, (a + b) / 2), ((a + b) / 2, b))]
    return torch.cat([x for x, _ in parts]), torch.cat([w for _, w in parts])


def product_rule(rules: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return nodes (n, d) and weights (n,) of the product of d one-dimensional rules, last axis fastest."""
    points = torch.stack([g.ravel() for g in torch.meshgrid(*(x for x, _ in rules), indexing="ij")], 1)
    weights = rules[0][1]
    for _, weight in rules[1:]:
        weights = torch.outer(weights, weight).ravel()
    return points, weights
