"""Measuring a solution: residual, error and bound, on points never solved at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrnn_cli.fitting.fields import Field
from lrnn_cli.objectives.collocation import measure_scales
from lrnn_cli.objectives.poisson import Problem

HELDOUT_SEED = 90_210
N_HELDOUT = 600
N_QUADRATURE = 4900
N_BOUNDARY = 600
N_PER_FACE = 200  # beyond three dimensions
_GRID = {1: 1001, 2: 101, 3: 41}
N_SCATTER = 4096


@dataclass(frozen=True)
class Samples:
    """The solution at the points of the output: a tensor grid up to three dimensions, Sobol points beyond.

    Attributes:
        axes: nodes per axis; empty beyond three dimensions.
        points: (n, d), last axis fastest.
        u, residual: (n,), NaN outside the domain.
        gradient: (n, d), the same.
        exact: (n,) or None.
    """

    axes: tuple[np.ndarray, ...]
    points: np.ndarray
    u: np.ndarray
    gradient: np.ndarray
    residual: np.ndarray
    exact: np.ndarray | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Nodes per axis, or the number of points."""
        return tuple(len(axis) for axis in self.axes) or (len(self.points),)


def sample(problem: Problem, solution: Field, n: int | None) -> Samples:
    """Evaluate a solution where it will be written out, n nodes per axis."""
    domain, d = problem.domain, problem.n_inputs
    axes: tuple[np.ndarray, ...] = ()
    if d <= 3:
        count = n or _GRID[d]
        axes = tuple(np.linspace(a, b, count) for a, b in zip(*domain.bounds(), strict=True))
        points = torch.from_numpy(np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1))
    else:
        points = domain.heldout(N_SCATTER, HELDOUT_SEED + 1)
    inside = domain.inside(points)
    found = sample_points(problem, solution, points[inside])
    filled = {}
    for name, values in found.items():
        whole = torch.full((len(points), *values.shape[1:]), math.nan, dtype=torch.float64)
        whole[inside] = values
        filled[name] = whole.numpy()
    return Samples(
        axes, points.numpy(), filled["u"], filled["gradient"], filled["residual"], filled.get("exact")
    )


def sample_points(problem: Problem, solution: Field, points: Tensor) -> dict[str, Tensor]:
    """Return u (n,), gradient (n, d), residual f - Lu (n,) and, where known, exact (n,) at points inside."""
    jet = solution.jet(points)
    rows = problem.interior(points)
    found = {
        "u": jet.value,
        "gradient": jet.gradient.T.contiguous(),
        "residual": rows.target - rows.apply(jet),
    }
    if problem.exact is not None:
        found["exact"] = problem.exact(points)
    return found


def measure(problem: Problem, solution: Field, samples: Samples) -> dict[str, Any]:
    """Return the measures of metrics.json but for the reference.

    Args:
        problem: what was solved.
        solution: the solution.
        samples: the same at the points of the output.

    Returns:
        rel_l2 and max_error over the samples, error_l2 and error_bound as L2 norms over the domain,
        error_bound_relative, residual_heldout, boundary_error; None where a figure is not known.
    """
    domain = problem.domain
    heldout = domain.heldout(N_HELDOUT, HELDOUT_SEED)
    rows = problem.interior(heldout)
    mismatch = rows.apply(solution.jet(heldout)) - rows.target
    scale = measure_scales(problem).equation
    points, weights = domain.heldout_quadrature(N_QUADRATURE, HELDOUT_SEED + 2)
    at_nodes = sample_points(problem, solution, points)

    def norm(values: Tensor) -> float:
        return math.sqrt(float((weights * values**2).sum()))

    boundary_error = _boundary_error(problem, solution)
    bound = _bound(problem, norm(at_nodes["residual"]), boundary_error)
    size = norm(at_nodes["u"])
    record: dict[str, Any] = {
        "rel_l2": None,
        "max_error": None,
        "error_l2": None,
        "solution_l2": size,
        "residual_heldout": float(mismatch.square().mean().sqrt()) / scale,
        "residual_l2": norm(at_nodes["residual"]),
        "error_bound": bound,
        "error_bound_relative": None if bound is None or size == 0 else bound / size,
        "error_bound_kind": problem.bound_note,
        "boundary_error": boundary_error,
        "hard_boundary": problem.hard,
    }
    if samples.exact is not None:
        inside = ~np.isnan(samples.exact)
        error = (samples.u - samples.exact)[inside]
        exact = np.linalg.norm(samples.exact[inside])
        record |= {
            "rel_l2": float(np.linalg.norm(error) / exact) if exact else None,
            "max_error": float(np.abs(error).max()),
            "error_l2": norm(at_nodes["u"] - at_nodes["exact"]),
        }
    return record


def _boundary_error(problem: Problem, solution: Field) -> float:
    """Return the largest deviation from the boundary data, values or slopes, over sample points."""
    d = problem.n_inputs
    n = N_BOUNDARY if d <= 3 else N_PER_FACE * 2 * d
    rows, _ = problem.boundary(problem.domain.heldout_boundary(n, HELDOUT_SEED + 3))
    return float((rows.apply(solution.jet(rows.points)) - rows.target).abs().max())


def _bound(problem: Problem, residual_l2: float, boundary_error: float) -> float | None:
    constant = problem.bound_constant()
    if constant is None:
        return None
    factor, maximum_principle = constant
    if maximum_principle:
        return factor * residual_l2 + math.sqrt(problem.domain.volume) * boundary_error
    return factor * residual_l2 if problem.hard else None  # hard: off by roundings at most
