"""Plane polygons: orientation.

Self-crossing, containment, corners, triangles and quadrature (numpy float64).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Vertex = tuple[float, float]

L_SHAPE: tuple[Vertex, ...] = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (0.0, -1.0))
"""The square [-1, 1]² without its fourth quadrant; corner of angle 3π/2 at the origin."""


@dataclass(frozen=True)
class Corner:
    """A vertex, the direction (radians) of the edge that leaves it counter-clockwise, and the inner angle."""

    vertex: Vertex
    direction: float
    angle: float


@lru_cache(maxsize=64)
def legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the n Gauss-Legendre nodes and weights on [-1, 1]; kept, since they cost n³."""
    return np.polynomial.legendre.leggauss(n)


def signed_area(vertices: Sequence[Vertex]) -> float:
    """Return ½ Σ (x_k y_{k+1} - x_{k+1} y_k) about the first vertex: positive when counter-clockwise."""
    x, y = (np.array(vertices) - vertices[0]).T  # far from the origin the products would lose all digits
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def checked(vertices: Sequence[Vertex]) -> tuple[Vertex, ...]:
    """Return the vertices counter-clockwise, the first one first.

    Raises:
        ValueError: when they are fewer than three, enclose nothing, repeat, or edges cross or touch.
    """
    kept = [(float(x), float(y)) for x, y in vertices]
    if len(kept) < 3:
        raise ValueError(f"polygon: expected at least 3 vertices, got {len(kept)}")
    if len(set(kept)) < len(kept):
        raise ValueError("polygon: a vertex is given twice")
    n = len(kept)
    for i in range(n):
        for j in range(i + 2, n):
            if (i, j) != (0, n - 1) and _cross(kept[i], kept[i + 1], kept[j], kept[(j + 1) % n]):
                raise ValueError(f"polygon: edges {i + 1} and {j + 1} cross or touch")
    size = max(max(axis) - min(axis) for axis in zip(*kept, strict=True))
    area = signed_area(kept)
    if abs(area) <= 1e-12 * size**2:
        raise ValueError("polygon: empty, the vertices lie on one line")
    return tuple(kept if area > 0 else [kept[0], *reversed(kept[1:])])


def _turn(a: Vertex, b: Vertex, c: Vertex) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _cross(a: Vertex, b: Vertex, c: Vertex, d: Vertex) -> bool:
    """Tell whether the closed segments ab and cd meet."""
    one, two, three, four = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if one == two == 0:  # on one line: compare extents
        return all(
            max(min(a[k], b[k]), min(c[k], d[k])) <= min(max(a[k], b[k]), max(c[k], d[k])) for k in (0, 1)
        )
    return one * two <= 0 and three * four <= 0


def corners(vertices: Sequence[Vertex]) -> list[Corner]:
    """Return all corners of a counter-clockwise polygon."""
    found = []
    n = len(vertices)
    for k, (x, y) in enumerate(vertices):
        (ax, ay), (bx, by) = vertices[k - 1], vertices[(k + 1) % n]
        leaving = math.atan2(by - y, bx - x)
        found.append(Corner((x, y), leaving, (math.atan2(ay - y, ax - x) - leaving) % (2 * math.pi)))
    return found


def contains(vertices: Sequence[Vertex], points: np.ndarray) -> np.ndarray:
    """Tell for points (n, 2) whether they lie inside (even-odd rule) or, to rounding, on an edge."""
    x, y = points[:, 0], points[:, 1]
    odd = np.zeros(len(points), bool)
    on_edge = np.zeros(len(points), bool)
    for (ax, ay), (bx, by) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        if ay != by:
            at = ax + (y - ay) * (bx - ax) / (by - ay)
            odd ^= ((ay > y) != (by > y)) & (x < at)
        squared = (bx - ax) ** 2 + (by - ay) ** 2
        t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared, 0, 1)
        on_edge |= np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)) <= 1e-13 * math.sqrt(squared)
    return odd | on_edge


def triangles(vertices: Sequence[Vertex]) -> list[tuple[Vertex, Vertex, Vertex]]:
    """Return n - 2 triangles that tile a simple counter-clockwise polygon of n vertices (ear clipping)."""
    rest = list(vertices)
    found = []
    while len(rest) > 3:
        ears = [k for k in range(len(rest)) if _is_ear(rest, k)]
        k = max(ears, key=lambda k: _shape(rest[k - 1], rest[k], rest[(k + 1) % len(rest)]), default=0)
        found.append((rest[k - 1], rest[k], rest[(k + 1) % len(rest)]))
        del rest[k]
    found.append((rest[0], rest[1], rest[2]))
    return [t for t in found if _turn(*t) > 0]


def _is_ear(rest: list[Vertex], k: int) -> bool:
    a, b, c = rest[k - 1], rest[k], rest[(k + 1) % len(rest)]
    if _turn(a, b, c) <= 0:
        return _turn(a, b, c) == 0
    return not any(
        min(_turn(a, b, p), _turn(b, c, p), _turn(c, a, p)) >= 0 for p in rest if p not in (a, b, c)
    )


def _shape(a: Vertex, b: Vertex, c: Vertex) -> float:
    """Return area over squared perimeter: large for a well-shaped triangle."""
    return _turn(a, b, c) / (math.dist(a, b) + math.dist(b, c) + math.dist(c, a)) ** 2


def quadrature(vertices: Sequence[Vertex], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return about n nodes (n, 2) and weights (n,).

    Gauss on the square, folded onto each triangle (Duffy).
    """
    tiles = triangles(vertices)
    m = max(2, math.ceil(math.sqrt(n / len(tiles))))
    t, w = legendre(m)
    t, w = (t + 1) / 2, w / 2
    u, v = (g.ravel() for g in np.meshgrid(t, t, indexing="ij"))
    weight = np.outer(w, w).ravel() * u
    nodes, weights = [], []
    for a, b, c in tiles:
        p, q, r = np.array(a), np.array(b), np.array(c)
        nodes.append(p + u[:, None] * ((1 - v[:, None]) * (q - p) + v[:, None] * (r - p)))
        weights.append(weight * _turn(a, b, c))
    return np.concatenate(nodes), np.concatenate(weights)
