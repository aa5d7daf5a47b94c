"""A classical solution on any plane domain by quadratic finite elements: scikit-fem, the extra `fem`.

    ∫ a ∇u·∇v + c u v = ∫ f v + ∫_N a g v,      u = g on the Dirichlet sides,

with six-node triangles (`triangle_meshes`), quadrature of order 6 and a sparse direct solver. The error in L2
falls with the third power of the mesh width where the solution is smooth.

Sources: T. Gustafsson, G. D. McBain, scikit-fem: A Python package for finite element assembly, JOSS 5(52),
2020; P. G. Ciarlet, The Finite Element Method for Elliptic Problems, 1978.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrnn_cli.numerics.domains import Domain
from lrnn_cli.numerics.triangle_meshes import quadratic_mesh

Function = Callable[[np.ndarray], np.ndarray]
"""Points (n, 2) → (n,)."""

HINT = "--reference fem: needs scikit-fem: pip install 'lrnn[fem]'"
_ORDER = 6  # of the quadrature: exact for products of three quadratic functions
_NEWTON = 8  # steps from a point to its place in a curved triangle
_NEIGHBOURS = 16  # triangles looked at for one point


def is_available() -> bool:
    """Tell whether scikit-fem is installed."""
    return importlib.util.find_spec("skfem") is not None


@dataclass(frozen=True)
class Conditions:
    """Conditions on the boundary.

    Attributes:
        is_dirichlet: points (n, 2), each on one side, not at a corner → bool (n,).
        values: points (n, 2) on Dirichlet sides, corners included → u (n,).
        slopes: points and outward normals (n, 2) on the other sides → ∂u/∂n (n,).
        mean: of u, where all this and c leave a constant free.
    """

    is_dirichlet: Callable[[np.ndarray], np.ndarray]
    values: Function
    slopes: Callable[[np.ndarray, np.ndarray], np.ndarray]
    mean: float = 0.0


@dataclass(frozen=True)
class FiniteElements:
    """A solution: nodes (N, 2), six per triangle (m, 6), vertices first, and their values (N,)."""

    nodes: np.ndarray
    triangles: np.ndarray
    values: np.ndarray

    def at(self, points: np.ndarray) -> np.ndarray:
        """Return the values at points (n, 2); NaN where no triangle is near."""
        from scipy.spatial import cKDTree

        corners = self.nodes[self.triangles[:, :3]]
        found = np.full(len(points), np.nan)
        if not len(points):
            return found
        near = min(_NEIGHBOURS, len(corners))
        candidates = cKDTree(corners.mean(1)).query(points, near)[1].reshape(len(points), near)
        best = np.full(len(points), -np.inf)
        owner = np.zeros(len(points), dtype=int)
        for triangle in candidates.T:  # the one with the point deepest inside
            a, b, c = np.moveaxis(corners[triangle], 1, 0)
            st = np.linalg.solve(np.stack([b - a, c - a], -1), (points - a)[..., None])[..., 0]
            depth = np.minimum(st.min(1), 1 - st.sum(1))
            better = depth > best
            best[better], owner[better] = depth[better], triangle[better]
        place, nodes = np.full((len(points), 2), 1 / 3), self.nodes[self.triangles[owner]]
        for _ in range(_NEWTON):
            shape, slope = _quadratic(place)
            miss = points - np.einsum("nk,nkd->nd", shape, nodes)
            jacobian = np.einsum("nke,nkd->nde", slope, nodes)
            place = place + np.linalg.solve(jacobian, miss[..., None])[..., 0]
        shape, _ = _quadratic(place)
        known = best > -0.5
        found[known] = np.einsum("nk,nk->n", shape, self.values[self.triangles[owner]])[known]
        return found


def solve(
    domain: Domain, n: int, f: Function, a: Function, c: Function, conditions: Conditions
) -> FiniteElements:
    """Solve -∇·(a ∇u) + c u = f.

    Args:
        domain: in the plane.
        n: vertices of the mesh, about.
        f: right-hand side.
        a: coefficient, positive.
        c: coefficient of u.
        conditions: on the boundary.

    Returns:
        the solution.

    Raises:
        ValueError: when the domain cannot be meshed, or the system is singular.
    """
    import scipy.sparse.linalg
    import skfem
    from skfem.helpers import dot, grad

    mesh = quadratic_mesh(domain, n)
    basis = skfem.CellBasis(mesh, skfem.ElementTriP2(), intorder=_ORDER)

    def at(function: Function, x: Any) -> np.ndarray:
        return function(np.reshape(np.asarray(x), (2, -1)).T).reshape(x.shape[1:])

    coefficients = {"a": at(a, basis.global_coordinates()), "c": at(c, basis.global_coordinates())}
    stiffness = skfem.BilinearForm(lambda u, v, w: w.a * dot(grad(u), grad(v)) + w.c * u * v)
    matrix = stiffness.assemble(basis, **coefficients)
    load = skfem.LinearForm(lambda v, w: w.f * v).assemble(basis, f=at(f, basis.global_coordinates()))
    nodes = basis.doflocs.T
    facets = mesh.boundary_facets()
    middle = basis.doflocs[:, basis.facet_dofs[0, facets]].T
    fixed_facets = conditions.is_dirichlet(middle)
    if not fixed_facets.all():
        edge = skfem.FacetBasis(mesh, skfem.ElementTriP2(), facets=facets[~fixed_facets], intorder=_ORDER)
        x, normals = np.asarray(edge.global_coordinates()), np.asarray(edge.normals)
        flat = conditions.slopes(x.reshape(2, -1).T, normals.reshape(2, -1).T).reshape(x.shape[1:])
        load += skfem.LinearForm(lambda v, w: w.g * v).assemble(edge, g=flat * at(a, x))
    fixed = basis.get_dofs(facets[fixed_facets]).flatten() if fixed_facets.any() else np.zeros(0, int)
    values = np.zeros(basis.N)
    free_constant = not len(fixed) and not coefficients["c"].any()
    if free_constant:
        fixed = np.zeros(1, int)
    else:
        values[fixed] = conditions.values(nodes[fixed])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.sparse.linalg.MatrixRankWarning)
        values = skfem.solve(*skfem.condense(matrix, load, x=values, D=fixed))
    if not np.isfinite(values).all():
        raise ValueError("finite elements: the system is singular")
    if free_constant:
        weights = skfem.LinearForm(lambda v, w: v).assemble(basis)
        values = values + conditions.mean - float(weights @ values) / float(weights.sum())
    return FiniteElements(nodes, basis.element_dofs.T, values)


def _quadratic(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the six shape functions (n, 6) and their slopes (n, 6, 2) at (s, t) (n, 2) of the unit triangle.

    Order: vertices (0, 0), (1, 0), (0, 1), then the middles of edges 0-1, 1-2 and 0-2.
    """
    s, t = place.T
    r = 1 - s - t
    zero = np.zeros_like(s)
    shape = np.stack([r * (2 * r - 1), s * (2 * s - 1), t * (2 * t - 1), 4 * r * s, 4 * s * t, 4 * r * t], 1)
    by_s = [1 - 4 * r, 4 * s - 1, zero, 4 * (r - s), 4 * t, -4 * t]
    by_t = [1 - 4 * r, zero, 4 * t - 1, -4 * s, 4 * s, 4 * (r - t)]
    return shape, np.stack([np.stack(by_s, 1), np.stack(by_t, 1)], -1)
