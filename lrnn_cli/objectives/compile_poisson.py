"""From the data of a steady problem to one that is ready: expressions read, data checked, oddities told."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.breaks import find_jump, find_kink
from lrnn_cli.numerics.checks import describe_nonfinite
from lrnn_cli.numerics.domains import Box, Domain, Polygon
from lrnn_cli.numerics.expression import Expression, compile_expression
from lrnn_cli.numerics.lifting import Lift, lift
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.numerics.shape import Boundary
from lrnn_cli.objectives.poisson import N_CHECK, Condition, Problem, ProblemConfig

EXACT_SLACK = 1e-6  # relative; more is no rounding
LIFT_SLACK = 1e-12  # largest deviation of a lift from the data, relative
FROM_EXACT = "exact"
ON_EDGE = 40  # points of an edge in space at which data of its faces are compared
GOLDEN = 0.6180339887498949


def compile_problem(config: ProblemConfig) -> Problem:
    """Read the expressions of a problem, check its data, and say what is peculiar about it.

    Args:
        config: the data.

    Returns:
        the problem, ready to be solved.

    Raises:
        ConfigError: when an expression cannot be read, a side is unknown, data are missing or not
            finite in the domain, or a is not positive or jumps.
    """
    domain = config.domain
    n_inputs = len(domain.bounds()[0])

    def read(text: str, name: str) -> Expression:
        return compile_expression(text, n_inputs, name=name, parameters=config.parameters)

    require_source(config)
    problem = Problem(
        config,
        n_inputs,
        f=None if config.f is None else read(config.f, "f"),
        exact=None if config.exact is None else read(config.exact, "exact"),
        a=read(config.a, "a"),
        c=read(config.c, "c"),
        sides=read_sides(config, read),
    )
    return _examined(problem)


def require_source(config: ProblemConfig) -> None:
    """Check that there is an f, or what it can be derived from.

    Raises:
        ConfigError: when there is neither.
    """
    if config.f is None and config.exact is None:
        raise ConfigError(f"{config.name}: give f, or an exact solution to derive it from (--manufacture)")


def read_sides(
    config: ProblemConfig, read: Callable[[str, str], Expression]
) -> tuple[tuple[bool, Expression | None], ...]:
    """Return per side of the domain whether it is Dirichlet, and its data; None for the exact solution's.

    Args:
        config: the data.
        read: compiles a text under a name.
    """
    return tuple(
        (condition.neumann is None, None if text == FROM_EXACT else read(text, f"boundary {side}"))
        for side, condition, text in find_conditions(config)
    )


def find_conditions(config: ProblemConfig) -> list[tuple[str, Condition, str]]:
    """Return per side of the domain its name, its condition and the text of the data.

    Raises:
        ConfigError: when a side is unknown, or data are to be taken from an exact solution that is not given.
    """
    sides = config.domain.sides
    for name in config.boundary:
        if name not in (*sides, "all"):
            near = difflib.get_close_matches(name, [*sides, "all"], 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"boundary: unknown side {name!r}; {hint}sides: all, {', '.join(sides)}")
    rest = config.boundary.get("all", Condition(dirichlet="0" if config.exact is None else FROM_EXACT))
    found = []
    for side in sides:
        condition = config.boundary.get(side, rest)
        text = str(condition.dirichlet if condition.dirichlet is not None else condition.neumann)
        if text == FROM_EXACT and config.exact is None:
            raise ConfigError(f"boundary {side}: 'exact' needs an exact solution")
        found.append((side, condition, text))
    return found


def _examined(problem: Problem) -> Problem:
    """Check data at sample points; decide on the mask; find out about corners and pure Neumann problems."""
    domain, notes = problem.domain, []
    inside = domain.heldout(N_CHECK // 2, 0)
    quadrature, _ = domain.quadrature(N_CHECK)
    inside = torch.cat([inside, quadrature])
    source = problem.source_term(inside)
    require_finite("f" if problem.f else "f derived from the exact solution", source, inside)
    for name, expression in (("a", problem.a), ("c", problem.c), ("exact", problem.exact)):
        if expression is not None:
            require_finite(name, expression(inside), inside)
    if bool((problem.a(inside) <= 0).any()):
        raise ConfigError("a: expected positive values in the domain")
    where = domain.boundary(N_CHECK // 4)
    rows, dirichlet = problem.boundary(where)
    require_finite("boundary data", rows.target, where.points)
    size = float(problem.exact(inside).abs().max()) if problem.exact else 0.0
    size = max(size, float(source.abs().max()) / problem.operator_size())
    zero = bool((rows.target.abs() <= 1e-13 * size).all())
    corners = _corner_notes(problem, max(size, float(rows.target.abs().max())))
    broken, bounded = break_notes(problem, inside)
    notes += [*corners, *exact_notes(problem, inside, where), *broken]
    masked = bool(dirichlet.all()) and domain.mask(inside[:1]) is not None
    known = _lift(problem, rows, inside) if masked and not zero and not corners else None
    notes += orientation_notes(problem.config)
    if isinstance(domain, Polygon) and domain.reentrant():
        notes.append(
            "a re-entrant corner: the gradient is singular there, smooth functions alone converge slowly"
        )
    pure = not bool(dirichlet.any()) and bool((problem.c(inside) == 0).all())
    shift = 0.0
    if pure:
        total, scale = _imbalance(problem, N_CHECK)
        notes.append("pure Neumann: u is determined up to a constant; its mean is fixed")
        # rules of half the size tell how far the sums are off, on boundaries that are found point by point
        unsure = abs(total - _imbalance(problem, N_CHECK // 2)[0])
        manufactured = problem.f is None and all(data is None for _, data in problem.sides)
        if not manufactured and abs(total) > max(1e-6 * scale, 3 * unsure):
            shift = total / domain.volume
            told = "" if problem.exact is None else "; the exact solution is none of that problem"
            notes.append(f"f and the boundary data are not compatible: {shift:.6g} is taken from f{told}")
    return replace(
        problem,
        hard=masked and (zero or known is not None),
        lift=known,
        f_shift=shift,
        pure_neumann=pure,
        bounded=bounded,
        notes=tuple(notes),
    )


def _lift(problem: Problem, edge: Rows, inside: Tensor) -> Lift | None:
    """Return a lift of the Dirichlet data that meets them at points of the boundary, to rounding.

    On a box it is made of the data on the faces. Elsewhere it is the data's own expression taken inside:
    none, then, where this is the exact solution itself, which is for measuring alone.
    """
    found = lift(problem.domain, tuple(data for _, data in problem.sides), problem.exact, inside)
    if found is None:
        return None
    gap = (found.jet(edge.points).value - edge.target).abs().max()
    if not float(gap) <= LIFT_SLACK * float(edge.target.abs().max()):
        return None
    if problem.exact is not None and not isinstance(problem.domain, Box):
        exact = problem.exact(inside)
        if float((found.jet(inside).value - exact).abs().max()) <= EXACT_SLACK * float(exact.abs().max()):
            return None
    return found


def orientation_notes(config: ProblemConfig) -> list[str]:
    """Say which edge of a polygon given clockwise is the first, where conditions name edges."""
    domain = config.domain
    if not (isinstance(domain, Polygon) and domain.was_clockwise and set(config.boundary) - {"all"}):
        return []
    (ax, ay), (bx, by) = domain.vertices[:2]
    return [
        "the vertices were given clockwise, edges count counter-clockwise from the first vertex: "
        f"edge1 runs from ({ax:g}, {ay:g}) to ({bx:g}, {by:g})"
    ]


def exact_notes(problem: Problem, inside: Tensor, where: Boundary) -> list[str]:
    """Say where an exact solution is none of equation or Dirichlet data that are given beside it.

    Args:
        problem: equation, data and exact solution.
        inside: points (n, d) of the domain.
        where: points of its boundary.

    Returns:
        a note for each of the two.
    """
    if problem.exact is None:
        return []
    size = float(problem.exact(inside).abs().max())
    rows = problem.interior(inside)
    gap = float((rows.apply(problem.exact.jet(inside)) - rows.target).abs().max())
    scale = max(float(rows.target.abs().max()), size * problem.operator_size())
    missed = [("equation", gap)] if gap > EXACT_SLACK * scale else []
    edge, values = problem.boundary(where)
    gap = float(((problem.exact(edge.points) - edge.target).abs() * values).max()) if len(edge) else 0.0
    if gap > EXACT_SLACK * max(size, float(edge.target.abs().max())):
        missed.append(("Dirichlet data", gap))
    return [
        f"the exact solution misses the {what} by up to {gap:.2g}: errors against it say little"
        for what, gap in missed
    ]


def break_notes(problem: Problem, inside: Tensor) -> tuple[list[str], bool]:
    """Look for places where the equation at points is not the whole equation.

    Where a jumps, -∇·(a ∇u) asks for a kink of u that balances the fluxes; rows at points know nothing of
    that, and a smooth network that meets them all solves another equation. Where an exact solution has a
    kink, its Laplacian has a part on that line that a derived f lacks.

    Args:
        problem: equation and exact solution.
        inside: points (n, d) of the domain.

    Returns:
        notes on the exact solution, and whether the residual bounds the error.

    Raises:
        ConfigError: when a jumps from one point of space to the next.
    """
    place = find_jump(problem.a, inside, problem.domain.inside)
    if place is not None:
        raise ConfigError(
            f"a: jumps at {spoken(place)}; expected no jumps, across which rows at points match no flux: "
            "make it steep instead, as 1 + 9*(1 + tanh((x - 0.5)/0.02))/2"
        )
    place = None if problem.exact is None else find_kink(problem.exact, inside, problem.domain.inside)
    if place is None:
        return [], True
    told = f"the exact solution has a kink, a jump or a root near {spoken(place)}"
    if problem.f is not None:
        return [f"{told}, where it solves no equation with such an f: errors against it say little"], True
    return [
        f"{told}, of which f derived from it knows nothing: errors against it say little, no bound"
    ], False


def spoken(point: Tensor) -> str:
    """Return a point (d,) as (0.5, 1)."""
    return f"({', '.join(f'{x:.3g}' for x in point.tolist())})"


def _imbalance(problem: Problem, n: int) -> tuple[float, float]:
    """Return ∫ f + ∫ a ∂u/∂n over the boundary, 0 for compatible Neumann data, by rules of about n nodes.

    The second number is the same of absolute values.
    """
    points, weights = problem.domain.quadrature(n)
    where = problem.domain.boundary(n // 4)
    rows, _ = problem.boundary(where)
    flux = problem.a(where.points) * rows.target * where.weights
    source = problem.source_term(points) * weights
    return float(source.sum() + flux.sum()), float(source.abs().sum() + flux.abs().sum())


def require_finite(name: str, values: Tensor, points: Tensor) -> None:
    """Check the values (n,) of user data at points (n, d).

    Raises:
        ConfigError: when one of them is NaN or infinite.
    """
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        found = describe_nonfinite(int(values.isnan().sum()), int(values.isinf().sum()), len(values))
        raise ConfigError(f"{name}: not finite in the domain, first at {spoken(points[bad][0])}; {found}")


def _corner_notes(problem: Problem, size: float) -> list[str]:
    """Compare the Dirichlet data of neighbouring sides where these meet: corners, and edges of 3-D boxes."""
    domain = problem.domain
    for points, one, two in _meetings(domain):
        (first, g), (second, h) = problem.sides[one], problem.sides[two]
        if not (first and second) or g is h:  # both None: from the exact solution
            continue
        left, right = ((problem.exact if side is None else side) for side in (g, h))
        assert left is not None and right is not None
        a, b = left(points), right(points)
        gap = (a - b).abs() - 1e-9 * torch.maximum(a.abs(), b.abs()).clamp_min(size)
        k = int(gap.argmax())
        if float(gap[k]) > 0:
            at = ", ".join(f"{x:g}" for x in points[k].tolist())
            names = f"{domain.sides[one]} and {domain.sides[two]}"
            return [f"boundary data of {names} disagree at ({at}): {float(a[k]):g} and {float(b[k]):g}"]
    return []


def _meetings(domain: Domain) -> list[tuple[Tensor, int, int]]:
    """Return points (m, d) where two sides meet, and the numbers of the sides."""
    if isinstance(domain, Polygon):
        n, vertices = len(domain.vertices), torch.tensor(domain.vertices, dtype=torch.float64)
        return [(vertices[[k]], (k - 1) % n, k) for k in range(n)]
    if not isinstance(domain, Box) or len(domain.lower) not in (2, 3):
        return []
    ends, d, found = torch.tensor([domain.lower, domain.upper], dtype=torch.float64), len(domain.lower), []
    # an edge is sampled at its ends and at irregular places, where waves of no length all vanish
    t = torch.cat([torch.arange(ON_EDGE) * GOLDEN % 1, torch.ones(1)]).double()[:, None]
    for i, j in itertools.combinations(range(d), 2):
        for at_i, at_j in itertools.product((0, 1), repeat=2):
            points = ends[0] + t * (ends[1] - ends[0])
            points[:, i], points[:, j] = ends[at_i, i], ends[at_j, j]
            found.append((points, 2 * i + at_i, 2 * j + at_j))
    return found
