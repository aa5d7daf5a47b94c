"""From a problem to weighted rows: where its conditions are asked for, and how much each kind counts.

Rows of the equation are divided by s_f √N and those of the boundary by s_g √N_b, with s_f the root mean
square of f and s_g that of the boundary data; where one of them vanishes, the scale of the other over or
times a λ₁, with the mean of a and the lowest eigenvalue of the bounding box, stands in. The norm of all rows
is then a relative residual.

Rows of the equation are asked for at one of three kinds of points:

    gauss       nodes of the domain's quadrature rule, Sobol points beyond three dimensions
    sobol       scrambled Sobol points
    adaptive    half of them nodes; the others drawn, without repetition, from four times as many Sobol points
                with a probability proportional to |r| / mean |r| + 1, r the residual of a solution so far

The last is the residual-based adaptive distribution (RAD, k = c = 1) of C. Wu, M. Zhu, Q. Tan, Y. Kartha and
L. Lu, A comprehensive study of non-adaptive and residual-based adaptive sampling for physics-informed neural
networks, CMAME 403, 2023, on half of the points: the other half keeps watch over the rest of the domain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.rows import Rows, join
from lrnn_cli.objectives.poisson import Problem

N_HELDOUT = 600
LINEAR_FLOOR = 1e-3
TRAINING_FLOOR = 1.0
SOBOL_SEED = 4_242
POOL = 4  # points to draw from per point of the equation
BOUNDARY_SHARE = 6.0  # boundary rows per square root of interior rows, in the plane


@dataclass(frozen=True)
class Collocation:
    """Weighted rows of a problem for the unknown network N: of u = G + m N where the problem is hard.

    Attributes:
        rows: equation first, boundary after it.
        n_interior: rows of the equation.
    """

    rows: Rows
    n_interior: int

    def residual(self, values: Tensor) -> float:
        """Return the relative residual |rows(u) - t| for the values (n,) of the rows."""
        return float((values - self.rows.target).norm())


@dataclass(frozen=True)
class Scales:
    """Sizes of the equation and of the boundary conditions, for weighting."""

    equation: float
    boundary: float


def measure_scales(problem: Problem, *, floor: float | None = None) -> Scales:
    """Return root mean squares of f and of the boundary data, each mended by the other.

    Args:
        problem: what is to be solved.
        floor: least size of f in parts of a λ₁ times that of the boundary data. A linear solver meets all
            rows whatever their weights; one that descends step by step wants `TRAINING_FLOOR`. Left out, it
            is `LINEAR_FLOOR`, or `TRAINING_FLOOR` behind a lift, where there are no rows of the boundary, and
            for unsteady problems: with f = 0 and few features u = 0 would please heavy rows of the equation
            more than the initial condition could object.

    Returns:
        the sizes.
    """
    if floor is None:
        floor = TRAINING_FLOOR if problem.n_time or problem.lift is not None else LINEAR_FLOOR
    points, weights = problem.domain.quadrature(4000)
    f = problem.source_term(points)
    f_size = math.sqrt(float((weights * f * f).sum()) / problem.domain.volume)
    data, _ = problem.boundary(problem.domain.boundary(1000))
    g_size = float(data.target.square().mean().sqrt())
    size = problem.operator_size()
    if f_size == g_size == 0:
        return Scales(1.0, 1.0 / size)
    return Scales(max(f_size, floor * g_size * size), max(g_size, f_size / size))


def choose_points(
    problem: Problem, n: int, kind: str, solution: Callable[[Tensor], Jet] | None = None, seed: int = 0
) -> Tensor:
    """Return about n points inside the domain at which to ask for the equation, as described above.

    Args:
        problem: what is to be solved.
        n: how many.
        kind: gauss, sobol or adaptive; adaptive means gauss as long as there is no solution.
        solution: jet at points (n, d) of a solution so far.
        seed: of what is drawn.

    Returns:
        points (n, d).
    """
    domain = problem.domain
    if kind == "sobol":
        return domain.heldout(n, SOBOL_SEED)
    if kind != "adaptive" or solution is None:
        return domain.quadrature(n)[0]
    pool = domain.heldout(POOL * n, SOBOL_SEED + 1 + seed)
    rows = problem.interior(pool)
    size = (rows.apply(solution(pool)) - rows.target).abs()
    chance = size / size.mean().clamp_min(1e-300) + 1.0
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(chance, n - n // 2, generator=generator)
    return torch.cat([domain.quadrature(n // 2)[0], pool[drawn]])


def collocate(
    problem: Problem,
    n: int,
    scales: Scales,
    *,
    heldout_seed: int | None = None,
    points: Tensor | None = None,
) -> Collocation:
    """Return about n rows of the equation, and those of the boundary unless the mask takes care of it.

    Args:
        problem: what is to be solved.
        n: rows of the equation.
        scales: sizes for the weights.
        heldout_seed: take Sobol points of this seed, for measuring, instead of quadrature nodes, for solving.
        points: where to ask for the equation instead (`choose_points`).

    Returns:
        the weighted rows.
    """
    domain = problem.domain
    if points is None:
        points = domain.quadrature(n)[0] if heldout_seed is None else domain.heldout(n, heldout_seed)
    parts = [problem.interior(points).scaled(1.0 / (scales.equation * math.sqrt(len(points))))]
    if problem.hard:
        parts = [behind_boundary(problem, parts[0])]
    else:
        share = BOUNDARY_SHARE * math.sqrt(n) if problem.n_inputs <= 2 else 0.6 * n
        where = (
            domain.boundary(round(share))
            if heldout_seed is None
            else domain.heldout_boundary(round(share) + 7, heldout_seed)
        )
        rows, dirichlet = problem.boundary(where)
        slope = scales.boundary * math.sqrt(problem.operator_size(1.0))  # Neumann data are slopes, not fluxes
        size = torch.where(dirichlet, scales.boundary, slope)
        parts.append(rows.scaled(1.0 / (size * math.sqrt(len(rows)))))
    return Collocation(join(parts), len(points))


def behind_boundary(problem: Problem, rows: Rows) -> Rows:
    """Return rows on N for rows on u = G + m N; the same rows where the problem has no hard boundary."""
    mask = problem.domain.mask(rows.points) if problem.hard else None
    if problem.lift is not None:
        rows = rows.beyond(problem.lift.jet(rows.points))
    return rows if mask is None else rows.through(mask)
