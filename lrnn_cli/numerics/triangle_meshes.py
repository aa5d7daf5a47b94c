"""Triangles that fill a plane domain, for finite elements: quadratic ones, so that curved sides are followed.

Polygons and rectangles are cut into triangles that are then split again and again, most of all at re-entrant
corners. Other domains get points on their boundary, a lattice of points inside, and the Delaunay
triangulation of these; triangles whose centre is outside go.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lrnn_cli.numerics import polygons
from lrnn_cli.numerics.domains import Annulus, Box, Disc, Domain, Polygon
from lrnn_cli.numerics.implicit_domain import Implicit

CORNER_LEVELS = 16  # how often triangles at a re-entrant corner are split once more
_CLEARANCE = 0.6  # least distance of a lattice point from the boundary, in steps
_PROJECTIONS = 6  # Newton steps onto the boundary


def quadratic_mesh(domain: Domain, n: int) -> Any:
    """Return a mesh of triangles with six nodes each.

    Args:
        domain: in the plane.
        n: vertices, about.

    Returns:
        an `skfem.MeshTri2`; midpoints of the outer edges lie on the boundary.

    Raises:
        ValueError: when the domain is not in the plane, or its boundary is too fine for so few points.
    """
    from skfem import MeshTri, MeshTri2

    if isinstance(domain, Box) and len(domain.lower) == 2:
        (a, c), (b, d) = domain.bounds()
        return MeshTri2.from_mesh(_split(MeshTri, [(a, c), (b, c), (b, d), (a, d)], (), n))
    if isinstance(domain, Polygon):
        corners = [corner.vertex for corner in domain.reentrant()]
        return MeshTri2.from_mesh(_split(MeshTri, list(domain.vertices), corners, n))
    if not isinstance(domain, Disc | Annulus | Implicit):
        raise ValueError("finite elements: expected a domain in the plane")
    points, triangles = _curved(domain, n)
    mesh = MeshTri2.from_mesh(_mesh(MeshTri, points, triangles))
    outer = mesh.dofs.get_facet_dofs(mesh.boundary_facets()).flatten()
    moved = mesh.doflocs.copy()
    moved[:, outer] = _onto_boundary(domain, moved[:, outer].T).T
    return replace(mesh, doflocs=moved)


def _split(
    kind: Any, vertices: list[polygons.Vertex], corners: list[polygons.Vertex] | tuple[()], n: int
) -> Any:
    """Return triangles of a polygon, split until there are n vertices and then on at some corners."""
    number = {vertex: k for k, vertex in enumerate(vertices)}
    triangles = np.array([[number[v] for v in triangle] for triangle in polygons.triangles(vertices)])
    mesh = _mesh(kind, np.array(vertices), triangles)
    while 2 * mesh.p.shape[1] < n:
        mesh = mesh.refined()
    for _ in range(CORNER_LEVELS if corners else 0):
        at = [int(np.argmin(np.hypot(*(mesh.p - np.array(corner)[:, None])))) for corner in corners]
        mesh = mesh.refined(np.flatnonzero(np.isin(mesh.t, at).any(0)))
    return mesh


def _mesh(kind: Any, points: np.ndarray, triangles: np.ndarray) -> Any:
    """Return an skfem mesh of points (n, 2) and triangles (m, 3)."""
    return kind(np.ascontiguousarray(points.T, dtype=np.float64), np.ascontiguousarray(triangles.T))


def _curved(domain: Disc | Annulus | Implicit, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, 2) and triangles (m, 3) of a domain with a smooth boundary."""
    from scipy.spatial import Delaunay, cKDTree

    step = math.sqrt(2 / math.sqrt(3) * domain.volume / n)  # of a triangular lattice of n points
    length = float(domain.boundary(1000).weights.sum())
    rim = _onto_boundary(domain, domain.boundary(round(length / step)).points.numpy())
    (left, low), (right, high) = domain.bounds()
    rows = np.arange(low, high, step * math.sqrt(3) / 2)
    lattice = np.concatenate(
        [
            np.stack([x, np.full_like(x, y)], 1)
            for k, y in enumerate(rows)
            for x in [np.arange(left + (k % 2) * step / 2, right, step)]
        ]
    )
    inside = domain.inside(torch.from_numpy(lattice)).numpy()
    inside &= cKDTree(rim).query(lattice)[0] > _CLEARANCE * step
    points = np.concatenate([rim, lattice[inside]])
    triangles = Delaunay(points).simplices
    centres = points[triangles].mean(1)
    triangles = triangles[domain.inside(torch.from_numpy(centres)).numpy()]
    a, b, c = (points[triangles[:, k]] for k in range(3))
    areas = 0.5 * np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    # flat triangles of three neighbours on a boundary that is straight there
    triangles = triangles[areas > 1e-3 * step**2]
    if abs(areas.sum() - domain.volume) > 0.05 * domain.volume:
        raise ValueError(f"finite elements: the boundary is too fine for {len(points)} points")
    kept, triangles = np.unique(triangles, return_inverse=True)
    return points[kept], triangles.reshape(-1, 3)


def _onto_boundary(domain: Disc | Annulus | Implicit, points: np.ndarray) -> np.ndarray:
    """Return the points of the boundary next to points (n, 2) that are near it."""
    if isinstance(domain, Implicit):
        moved = torch.from_numpy(points)
        for _ in range(_PROJECTIONS):
            jet = domain.level.jet(moved)
            moved = moved - (jet.value / jet.gradient.square().sum(0).clamp_min(1e-300) * jet.gradient).T
        return moved.numpy()
    radii = [domain.radius] if isinstance(domain, Disc) else [domain.outer, domain.inner]
    offset = points - np.array(domain.centre)
    distance = np.hypot(*offset.T)
    nearest = np.array([r for r in radii if r])[np.argmin([np.abs(distance - r) for r in radii if r], axis=0)]
    return np.array(domain.centre) + offset * (nearest / distance)[:, None]
