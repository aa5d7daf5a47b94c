"""Unsteady linear problems in space-time: u_t - ∇·(a ∇u) + b·∇u + c u = f on Ω × (0, T].

    domain: {kind: box, lower: [0], upper: [1]}
    time_to: 1
    initial: "sin(pi*x)"            u at t = 0; "exact" when left out and an exact solution is given
    velocity: ["0.5"]               b, one expression per axis; 0 when left out
    a: "0.05"                       a ≥ 0 without jumps in space; where it is 0, only inflow has a condition

Expressions may depend on t; everything else is as in `objectives.poisson`. Time is a coordinate like the
others, the first one, and the whole interval is solved at once: the equation, the conditions on ∂Ω and the
initial condition are rows of one system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.breaks import find_jump
from lrnn_cli.numerics.cylinder import Cylinder
from lrnn_cli.numerics.domains import Polygon
from lrnn_cli.numerics.expression import Expression, compile_expression
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.numerics.shape import Boundary
from lrnn_cli.objectives.compile_poisson import (
    FROM_EXACT,
    break_notes,
    compile_problem,
    exact_notes,
    orientation_notes,
    read_sides,
    require_finite,
    require_source,
    spoken,
)
from lrnn_cli.objectives.poisson import N_CHECK, Problem, ProblemConfig

DIMENSIONS = 2  # of space: frozen features of more than three coordinates resolve little


@dataclass(frozen=True)
class UnsteadyProblem(Problem):
    """A problem in space-time, ready to be solved; n_inputs counts time.

    Attributes:
        velocity: b; empty where there is no transport.
    """

    velocity: tuple[Expression, ...] = ()

    @property
    def n_time(self) -> int:
        """Return 1."""
        return 1

    @cached_property
    def domain(self) -> Cylinder:  # type: ignore[override]  # a domain that no file can hold
        """The space-time cylinder."""
        assert self.config.time_to is not None
        return Cylinder(base=self.config.domain, time_to=self.config.time_to)

    @property
    def bound_note(self) -> str:
        """How the bound of the error comes about."""
        return (
            "|e| <= C |residual| in L2 of space-time, C = (1 - exp(-m T)) / m, "
            "m = a_min lambda_1 + min(c - div b / 2), lambda_1 >= pi^2 sum 1/L_i^2 of the bounding box; "
            "residual integrated by quadrature; plus sqrt(T |domain|) max |initial or boundary error| over "
            "sample points"
        )

    def drift(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return b (n, d) and ∇·b (n,) at points (n, 1 + d)."""
        if not self.velocity:
            return torch.zeros_like(points[:, 1:]), points.new_zeros(len(points))
        parts = [component.jet(points) for component in self.velocity]
        divergence = sum((p.gradient[1 + k] for k, p in enumerate(parts)), points.new_zeros(len(points)))
        return torch.stack([p.value for p in parts], 1), divergence

    def source_term(self, points: Tensor) -> Tensor:
        """Return f (n,): as given, or the left-hand side for the exact solution."""
        if self.f is not None:
            return self.f(points)
        return self._operator(points, points.new_zeros(len(points))).apply(self._exact_jet(points))

    def interior(self, points: Tensor) -> Rows:
        """Return the rows of the equation at points (n, 1 + d): α = -a, β = (1, b - ∇a), κ = c."""
        return self._operator(points, self.source_term(points))

    def _operator(self, points: Tensor, target: Tensor) -> Rows:
        a = self.a.jet(points)
        first = torch.cat([torch.ones_like(points[:, :1]), self.drift(points)[0] - a.gradient[1:].T], 1)
        return Rows(points, -a.value, first, self.c(points), target)

    def boundary(self, where: Boundary) -> tuple[Rows, Tensor]:
        """Return the rows of the conditions, initial ones included, and which of them give values.

        Where a = 0 and the velocity does not point inwards there is no condition.
        """
        outward = (self.drift(where.points)[0] * where.normals[:, 1:]).sum(1)
        asked = (where.side == 0) | (self.a(where.points) > 0) | (outward < 0)
        kept = Boundary(where.points[asked], where.normals[asked], where.side[asked], where.weights[asked])
        return super().boundary(kept)

    def bound_constant(self) -> tuple[float, bool] | None:
        """Return C of ‖e‖ ≤ C ‖residual‖ for errors with zero data, and whether c ≥ 0.

        With μ = a_min λ₁ + min(c - ∇·b / 2) the energy estimate is d/dt |e(t)| ≤ -μ |e(t)| + |residual(t)| in
        L²(Ω), and Young's inequality for the convolution with exp(-μ t) gives, in L² of space-time,

            C = ∫_0^T exp(-μ t) dt = (1 - exp(-μ T)) / μ.

        None where a side is Neumann, or the problem is not `bounded`.
        """
        if not (self.bounded and all(values for values, _ in self.sides)):
            return None
        points, _ = self.domain.quadrature(N_CHECK)
        a_min, c = float(self.a(points).min()), self.c(points)
        rate = a_min * self.lowest_eigenvalue() + float((c - self.drift(points)[1] / 2).min())
        exponent = rate * self.domain.time_to
        # beyond e^700 a double overflows: such a bound says nothing
        if exponent < -700:
            return None
        size = -math.expm1(-exponent) / rate if rate else self.domain.time_to
        return size, float(c.min()) >= 0

    def operator_size(self, a: float | None = None) -> float:
        """Return 1 / T + a λ₁, a typical size of the operator on u.

        Args:
            a: a diffusion; the mean of the problem's own when left out.
        """
        return 1.0 / self.domain.time_to + super().operator_size(a)


def compile_equation(config: ProblemConfig) -> Problem:
    """Read a problem, steady or, with `time_to`, unsteady.

    Args:
        config: the data.

    Returns:
        the problem, ready to be solved.

    Raises:
        ConfigError: when it makes no sense.
    """
    return compile_problem(config) if config.time_to is None else compile_unsteady(config)


def compile_unsteady(config: ProblemConfig) -> UnsteadyProblem:
    """Read the expressions of an unsteady problem, check its data, and say what is peculiar about it.

    Args:
        config: the data, with `time_to`.

    Returns:
        the problem, ready to be solved.

    Raises:
        ConfigError: when an expression cannot be read, data are missing or not finite, the velocity has not
            one component per axis, space has too many dimensions, or a is negative or jumps.
    """
    d = len(config.domain.bounds()[0])
    if d > DIMENSIONS:
        raise ConfigError(f"time_to: unsteady problems take 1 or 2 dimensions of space, got {d}")
    require_source(config)
    start = config.initial if config.initial is not None else FROM_EXACT
    if start == FROM_EXACT and config.exact is None:
        raise ConfigError("initial: give u at t = 0 (--initial), or an exact solution to take it from")
    velocity = config.velocity or ()
    if velocity and len(velocity) != d:
        raise ConfigError(f"velocity: expected {d} components, one per axis, got {len(velocity)}")

    def read(text: str, name: str) -> Expression:
        return compile_expression(text, d + 1, name=name, parameters=config.parameters, n_time=1)

    initial = (True, None if start == FROM_EXACT else read(start, "initial"))
    problem = UnsteadyProblem(
        config,
        d + 1,
        f=None if config.f is None else read(config.f, "f"),
        exact=None if config.exact is None else read(config.exact, "exact"),
        a=read(config.a, "a"),
        c=read(config.c, "c"),
        sides=(initial, *read_sides(config, read)),
        velocity=tuple(read(text, f"velocity {k + 1}") for k, text in enumerate(velocity)),
    )
    return _examined(problem)


def _examined(problem: UnsteadyProblem) -> UnsteadyProblem:
    """Check data at sample points, and compare initial and boundary data where they meet."""
    domain, notes = problem.domain, []
    quadrature, _ = domain.quadrature(N_CHECK)
    inside = torch.cat([domain.heldout(N_CHECK // 2, 0), quadrature])
    source, a = problem.source_term(inside), problem.a(inside)
    require_finite("f" if problem.f else "f derived from the exact solution", source, inside)
    named = [("a", problem.a), ("c", problem.c), ("exact", problem.exact)]
    for name, expression in [*named, *((f"velocity {k + 1}", b) for k, b in enumerate(problem.velocity))]:
        if expression is not None:
            require_finite(name, expression(inside), inside)
    if bool((a < 0).any()):
        raise ConfigError("a: expected no negative values in the domain")
    where = domain.boundary(N_CHECK // 4)
    rows, _ = problem.boundary(where)
    require_finite("initial or boundary data", rows.target, rows.points)
    broken, bounded = break_notes(problem, inside)
    for k, component in enumerate(problem.velocity):
        place = find_jump(component, inside, domain.inside)
        if place is not None:
            broken.append(f"velocity {k + 1} jumps at {spoken(place)}: there is no bound of the error")
            bounded = False
    notes += [*exact_notes(problem, inside, where), *broken, *orientation_notes(problem.config)]
    if bool((a == 0).any()):
        notes.append("a vanishes: where it does on the boundary, only inflow has a condition")
    size = max(float(rows.target.abs().max()), float(source.abs().max()) / problem.operator_size())
    notes += _start_notes(problem, size)
    if isinstance(domain.base, Polygon) and domain.base.reentrant():
        notes.append(
            "a re-entrant corner: the gradient may be singular there, and no singular functions are added"
        )
    return replace(problem, bounded=bounded, notes=tuple(notes))


def _start_notes(problem: UnsteadyProblem, size: float) -> list[str]:
    """Compare Dirichlet data at t = 0 with the initial condition there."""
    edge = problem.domain.base.boundary(64)
    points = torch.cat([edge.points.new_zeros(len(edge.points), 1), edge.points], 1)
    normals = torch.cat([torch.zeros_like(points[:, :1]), edge.normals], 1)
    rows, values = problem.boundary(Boundary(points, normals, edge.side + 1, edge.weights))
    initial, _ = problem.boundary(
        Boundary(
            rows.points, torch.zeros_like(rows.points), torch.zeros(len(rows), dtype=torch.int64), rows.zeroth
        )
    )
    gap = torch.where(values, (rows.target - initial.target).abs(), torch.zeros_like(rows.target))
    # corners themselves are no sample points: a kink is left alone, a jump is told
    if len(gap) == 0 or float(gap.max()) <= 1e-9 * size:
        return []
    k = int(gap.argmax())
    at = ", ".join(f"{x:g}" for x in rows.points[k, 1:].tolist())
    return [
        f"initial and boundary data disagree at t = 0, ({at}): {float(initial.target[k]):g} and "
        f"{float(rows.target[k]):g}; the solution jumps there"
    ]
