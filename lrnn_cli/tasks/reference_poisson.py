"""Classical solutions beside that of the network: which one applies, running it, and comparing with it."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics import finite_elements, reference_solvers
from lrnn_cli.numerics.domains import Annulus, Box, Polygon
from lrnn_cli.numerics.shape import Boundary
from lrnn_cli.objectives.poisson import Problem
from lrnn_cli.tasks.measure_poisson import Samples

_CHEBYSHEV = {1: (16, 32, 64, 128), 2: (16, 24, 32, 48, 64, 96, 128), 3: (16, 24, 32, 48)}
_DIFFERENCES = {1: 1023, 2: 255, 3: 63}
_VERTICES = 8000  # of finite elements: with six nodes per triangle some 30,000 unknowns
_BOX_SOLVERS = ("chebyshev", "fd")


@dataclass(frozen=True)
class Reference:
    """A classical solution on the grid of the output, NaN outside, and its record for metrics.json."""

    record: dict[str, Any]
    values: np.ndarray


def check_reference(problem: Problem, kind: str) -> None:
    """See, before any work, whether a classical solver that is asked for applies.

    Args:
        problem: what is to be solved.
        kind: auto, chebyshev, fd, fem or none.

    Raises:
        ConfigError: when it does not, or scikit-fem is missing.
    """
    if kind in ("auto", "none"):
        return
    if problem.n_time:
        raise ConfigError(f"--reference {kind}: for steady problems; none is built in for --time-to")
    if kind in _BOX_SOLVERS and not _is_plain(problem):
        raise ConfigError(
            f"--reference {kind}: takes boxes in up to three dimensions, constant coefficients and Dirichlet "
            "data; in the plane use --reference fem"
        )
    if kind == "fem" and problem.n_inputs != 2:
        raise ConfigError(f"--reference fem: for domains in the plane, got {problem.n_inputs} dimensions")
    if kind == "fem" and not finite_elements.is_available():
        raise ConfigError(finite_elements.HINT)


def reference(problem: Problem, samples: Samples, kind: str) -> Reference | None:
    """Solve with a classical method on the same problem, and compare.

    Args:
        problem: what was solved.
        samples: the network's solution on a tensor grid.
        kind: auto, chebyshev, fd or fem; auto is chebyshev where that applies.

    Returns:
        its values and a record with name, size (nodes per axis, or of the mesh), rel_l2 against the exact
        solution where known, difference between network and reference relative to the reference, and
        seconds of the run reported; None for auto where no built-in method applies.
    """
    if kind == "auto" and not _is_plain(problem):
        return None
    name = "chebyshev" if kind == "auto" else kind
    values, nodes, seconds = _run_fem(problem, samples) if name == "fem" else _run_box(problem, samples, name)
    known = np.isfinite(values)
    size = float(np.linalg.norm(values[known]))

    def distance(other: np.ndarray, scale: float) -> float | None:
        gap = (other.reshape(samples.shape) - values)[known]
        return float(np.linalg.norm(gap)) / scale if scale else None

    found: dict[str, Any] = {
        "name": name,
        "nodes": nodes,
        "rel_l2": None,
        "difference": distance(samples.u, size),
        "seconds": round(seconds, 6),
    }
    if samples.exact is not None:
        norm = float(np.linalg.norm(samples.exact.reshape(samples.shape)[known]))
        found["rel_l2"] = distance(samples.exact, norm)
    return Reference(found, values)


def _is_plain(problem: Problem) -> bool:
    """Tell whether the built-in solvers apply: box of up to 3 dimensions, constant a and c, Dirichlet."""
    if not isinstance(problem.domain, Box) or problem.n_inputs > 3 or problem.n_time:
        return False
    points, _ = problem.domain.quadrature(300)
    constant = all(float(v.max() - v.min()) == 0 for v in (problem.a(points), problem.c(points)))
    return constant and all(side for side, _ in problem.sides)


def _numpy(function: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: function(torch.from_numpy(np.ascontiguousarray(x))).numpy()


def _run_box(problem: Problem, samples: Samples, name: str) -> tuple[np.ndarray, int, float]:
    """Return values on the grid, nodes per axis and seconds of the last size of a solver on boxes."""
    domain = problem.domain
    assert isinstance(domain, Box)
    corner = torch.tensor([domain.lower], dtype=torch.float64)
    a, c = float(problem.a(corner)), float(problem.c(corner))
    solver = reference_solvers.chebyshev if name == "chebyshev" else reference_solvers.differences
    sizes = _CHEBYSHEV[problem.n_inputs] if name == "chebyshev" else (_DIFFERENCES[problem.n_inputs],)
    f, g = _numpy(problem.source_term), _numpy(lambda x: _box_data(problem, domain, x))
    values, previous = np.zeros(samples.shape), None
    seconds, n = 0.0, 0
    for n in sizes:
        began = time.perf_counter()
        values = solver(domain.lower, domain.upper, n, f, g, a, c).at_grid(samples.axes)
        seconds = time.perf_counter() - began
        if previous is not None and np.linalg.norm(values - previous) <= 1e-12 * np.linalg.norm(values):
            break
        previous = values
    return values, n + 1, seconds


def _run_fem(problem: Problem, samples: Samples) -> tuple[np.ndarray, int, float]:
    """Return values on the grid, nodes of the mesh and seconds of finite elements."""
    mean = 0.0
    if problem.pure_neumann and problem.exact is not None:
        points, weights = problem.domain.quadrature(10_000)
        mean = float((weights * problem.exact(points)).sum() / weights.sum())
    dirichlet = torch.tensor([kind for kind, _ in problem.sides])

    def data(points: np.ndarray, normals: np.ndarray, sides: Tensor) -> np.ndarray:
        x = torch.from_numpy(np.ascontiguousarray(points))
        side = sides[_side_distances(problem, x)[:, sides].argmin(1)]
        where = Boundary(x, torch.from_numpy(np.ascontiguousarray(normals)), side, torch.ones(len(x)))
        return problem.boundary(where)[0].target.numpy()

    conditions = finite_elements.Conditions(
        is_dirichlet=_numpy(lambda x: dirichlet[_side_distances(problem, x).argmin(1)]),
        values=lambda x: data(x, np.zeros_like(x), torch.nonzero(dirichlet)[:, 0]),
        slopes=lambda x, n: data(x, n, torch.nonzero(~dirichlet)[:, 0]),
        mean=mean,
    )
    f, a, c = (_numpy(function) for function in (problem.source_term, problem.a, problem.c))
    importlib.import_module("skfem")  # what it takes to load is not the method's
    began = time.perf_counter()
    found = finite_elements.solve(problem.domain, _VERTICES, f, a, c, conditions)
    inside = np.isfinite(samples.u)
    values = np.full(len(samples.points), math.nan)
    values[inside] = found.at(samples.points[inside])
    return values.reshape(samples.shape), len(found.nodes), time.perf_counter() - began


def _side_distances(problem: Problem, points: Tensor) -> Tensor:
    """Return how far points (n, 2) on the boundary are from each side, (n, sides)."""
    domain = problem.domain
    if isinstance(domain, Box):
        ends = [end for pair in zip(*domain.bounds(), strict=True) for end in pair]
        return torch.stack([(points[:, k // 2] - end).abs() for k, end in enumerate(ends)], 1)
    if isinstance(domain, Annulus) and domain.inner:
        radius = (points - points.new_tensor(domain.centre)).norm(dim=1)
        return torch.stack([(radius - domain.outer).abs(), (radius - domain.inner).abs()], 1)
    if isinstance(domain, Polygon):
        starts = points.new_tensor(domain.vertices)
        edges = starts.roll(-1, 0) - starts
        offset = points[:, None] - starts
        along = ((offset * edges).sum(2) / edges.square().sum(1)).clamp(0, 1)
        return (offset - along[..., None] * edges).norm(dim=2)
    return points.new_zeros(len(points), 1)


def _box_data(problem: Problem, domain: Box, points: Tensor) -> Tensor:
    """Return the Dirichlet data at points on the faces of a box."""
    side = torch.zeros(len(points), dtype=torch.int64)
    for k in range(points.shape[1]):
        for end, value in enumerate((domain.lower[k], domain.upper[k])):
            side[points[:, k] == value] = 2 * k + end
    where = Boundary(points, torch.zeros_like(points), side, torch.ones(len(points), dtype=torch.float64))
    return problem.boundary(where)[0].target
