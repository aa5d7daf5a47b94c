"""Linear elliptic problems as data: -∇·(a ∇u) + c u = f, Dirichlet or Neumann conditions on the sides.

    domain: {kind: disc, radius: 2}
    f: "1"                          left out when `exact` is given: then derived from it
    exact: "sin(pi*x)*sin(pi*y)"    for measuring the error, never for solving
    a: "1", c: "0"                  a > 0; c < 0 is a Helmholtz problem
    boundary: {all: {dirichlet: "0"}, x1: {neumann: "y"}}     or "exact": taken from there

The sign convention is -Δu = f; Neumann data are ∂u/∂n with the outward normal. With `time_to` a problem is
unsteady (`objectives.unsteady`).
"""

from __future__ import annotations

import difflib
import itertools
import math
from dataclasses import dataclass, replace

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.checks import describe_nonfinite
from lrnn_cli.numerics.domains import AnyDomain, Box, Domain, Polygon
from lrnn_cli.numerics.expression import Expression, compile_expression
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.lifting import Lift, lift
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.numerics.shape import Boundary

EXACT_SLACK = 1e-6  # relative; more is no rounding
N_CHECK = 4000  # points at which data are looked at before solving
FROM_EXACT = "exact"


class Condition(BaseModel):
    """What holds on one side: u = dirichlet, or ∂u/∂n = neumann."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    dirichlet: str | None = None
    neumann: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Condition:
        if (self.dirichlet is None) == (self.neumann is None):
            raise ValueError("expected either dirichlet or neumann on a side")
        return self


class ProblemConfig(BaseModel):
    """A problem as the user writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str = "poisson"
    domain: AnyDomain = Field(default_factory=Box)
    f: str | None = None
    exact: str | None = None
    a: str = "1"
    c: str = "0"
    boundary: dict[str, Condition] = Field(default_factory=dict)
    parameters: dict[str, float] = Field(default_factory=dict)
    source: str = ""
    time_to: float | None = Field(None, gt=0)
    initial: str | None = None
    velocity: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _steady(self) -> ProblemConfig:
        for name in ("initial", "velocity"):
            if self.time_to is None and getattr(self, name) is not None:
                raise ValueError(f"{name} belongs to an unsteady problem: give time_to (--time-to) as well")
        return self


@dataclass(frozen=True)
class Problem:
    """A problem ready to be solved.

    Attributes:
        config: the data it was made of.
        n_inputs: d.
        f, exact, a, c: compiled expressions; f None is derived from `exact`.
        sides: per side of the domain, whether it is Dirichlet, and the data (None: from `exact`).
        hard: u is known on the whole boundary and the domain has a mask m, so that u = G + m N.
        lift: G, which takes the data on the boundary (`numerics.lifting`); None for G = 0.
        f_shift: constant taken from f so that a pure Neumann problem has a solution.
        pure_neumann: only ∇u is determined; the mean of u is fixed afterwards.
        notes: what the user should know.
    """

    config: ProblemConfig
    n_inputs: int
    f: Expression | None
    exact: Expression | None
    a: Expression
    c: Expression
    sides: tuple[tuple[bool, Expression | None], ...]
    hard: bool = False
    lift: Lift | None = None
    f_shift: float = 0.0
    pure_neumann: bool = False
    notes: tuple[str, ...] = ()

    @property
    def domain(self) -> Domain:
        """The domain."""
        return self.config.domain

    @property
    def n_time(self) -> int:
        """Coordinates that are time: the first one of an unsteady problem, here none."""
        return 0

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates: x, y, z or x1 … xd, behind t where there is time."""
        d = self.n_inputs - self.n_time
        space = tuple("xyz"[:d]) if d <= 3 else tuple(f"x{k + 1}" for k in range(d))
        return ("t", *space) if self.n_time else space

    @property
    def bound_note(self) -> str:
        """How the bound of the error comes about."""
        return (
            "|e| <= |residual| / (a_min lambda_1 + c_min), lambda_1 >= pi^2 sum 1/L_i^2 of the bounding box; "
            "residual integrated by quadrature; where the boundary is not exact, plus sqrt(|domain|) "
            "max |boundary error| over sample points"
        )

    def source_term(self, points: Tensor) -> Tensor:
        """Return f (n,) at points (n, d): as given, or -∇·(a ∇u) + c u of the exact solution."""
        if self.f is not None:
            return self.f(points) - self.f_shift
        exact = self._exact_jet(points)
        a = self.a.jet(points)
        flux = a.value * exact.laplacian + (a.gradient * exact.gradient).sum(0)
        return self.c(points) * exact.value - flux - self.f_shift

    def _exact_jet(self, points: Tensor) -> Jet:
        if self.exact is None:
            raise ConfigError(f"{self.config.name}: neither f nor an exact solution is given")
        return self.exact.jet(points)

    def interior(self, points: Tensor) -> Rows:
        """Return the rows of the equation at points (n, d)."""
        a = self.a.jet(points)
        return Rows(points, -a.value, -a.gradient.T, self.c(points), self.source_term(points))

    def boundary(self, where: Boundary) -> tuple[Rows, Tensor]:
        """Return the rows of the conditions, and which of them are Dirichlet: bool (n,)."""
        n = len(where.points)
        zeroth, target = where.points.new_zeros(n), where.points.new_zeros(n)
        first = torch.zeros_like(where.points)
        for side, (dirichlet, data) in enumerate(self.sides):
            here = where.side == side
            points = where.points[here]
            zeroth[here] = float(dirichlet)
            if not dirichlet:
                first[here] = where.normals[here]
            if data is not None:
                target[here] = data(points)
            else:
                jet = self._exact_jet(points)
                normal = (jet.gradient * where.normals[here].T).sum(0)
                target[here] = jet.value if dirichlet else normal
        return Rows(where.points, torch.zeros_like(zeroth), first, zeroth, target), zeroth > 0

    def bound_constant(self) -> tuple[float, bool] | None:
        """Return C of ‖e‖ ≤ C ‖residual‖ for errors that vanish on the boundary, and whether c ≥ 0.

        C = 1 / (a_min λ₁ + c_min), λ₁ ≥ π² Σ 1 / L_i² over the sides L_i of the bounding box (domain
        monotonicity of the Dirichlet eigenvalues). a_min and c_min are minima over sample points. None
        where a side is Neumann, or the sum is not positive (Helmholtz beyond the first eigenvalue).
        """
        if not all(dirichlet for dirichlet, _ in self.sides):
            return None
        points, _ = self.domain.quadrature(N_CHECK)
        a_min, c_min = float(self.a(points).min()), float(self.c(points).min())
        total = a_min * self.lowest_eigenvalue() + c_min
        return (1 / total, c_min >= 0) if total > 0 else None

    def lowest_eigenvalue(self) -> float:
        """Return π² Σ 1 / L_i² of the bounding box.

        At most the lowest Dirichlet eigenvalue of -Δ in the domain.
        """
        lower, upper = self.config.domain.bounds()
        return math.pi**2 * sum((b - a) ** -2 for a, b in zip(lower, upper, strict=True))


def compile_problem(config: ProblemConfig) -> Problem:
    """Read the expressions of a problem, check its data, and say what is peculiar about it.

    Args:
        config: the data.

    Returns:
        the problem, ready to be solved.

    Raises:
        ConfigError: when an expression cannot be read, a side is unknown, data are missing or not
            finite in the domain, or a is not positive.
    """
    domain = config.domain
    n_inputs = len(domain.bounds()[0])

    def read(text: str, name: str) -> Expression:
        return compile_expression(text, n_inputs, name=name, parameters=config.parameters)

    if config.f is None and config.exact is None:
        raise ConfigError(f"{config.name}: give f, or an exact solution to derive it from (--manufacture)")

    def read_data(side: str, condition: Condition, text: str) -> Expression | None:
        # data that repeat the exact solution say nothing of its inside, either
        exact = text == FROM_EXACT or (condition.dirichlet is not None and text == config.exact)
        return None if exact else read(text, f"boundary {side}")

    problem = Problem(
        config,
        n_inputs,
        f=None if config.f is None else read(config.f, "f"),
        exact=None if config.exact is None else read(config.exact, "exact"),
        a=read(config.a, "a"),
        c=read(config.c, "c"),
        sides=tuple(
            (condition.neumann is None, read_data(side, condition, text))
            for side, condition, text in find_conditions(config)
        ),
    )
    return _examined(problem)


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
    size = max(size, float(source.abs().max()) / problem.lowest_eigenvalue())
    zero = bool((rows.target.abs() <= 1e-13 * size).all())
    corners = _corner_notes(problem, size)
    notes += [*corners, *exact_notes(problem, inside, where)]
    masked = bool(dirichlet.all()) and domain.mask(inside[:1]) is not None
    known = None
    if masked and not zero and not corners:
        known = lift(domain, tuple(data for _, data in problem.sides), problem.exact, inside)
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
        notes=tuple(notes),
    )


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
    scale = max(float(rows.target.abs().max()), size * problem.lowest_eigenvalue())
    missed = [("equation", gap)] if gap > EXACT_SLACK * scale else []
    edge, values = problem.boundary(where)
    gap = float(((problem.exact(edge.points) - edge.target).abs() * values).max()) if len(edge) else 0.0
    if gap > EXACT_SLACK * max(size, float(edge.target.abs().max())):
        missed.append(("Dirichlet data", gap))
    return [
        f"the exact solution misses the {what} by up to {gap:.2g}: errors against it say little"
        for what, gap in missed
    ]


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
        at = ", ".join(f"{x:.3g}" for x in points[bad][0].tolist())
        found = describe_nonfinite(int(values.isnan().sum()), int(values.isinf().sum()), len(values))
        raise ConfigError(f"{name}: not finite in the domain, first at ({at}); {found}")


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
    t = torch.linspace(0, 1, 5 if d == 3 else 1, dtype=torch.float64)[:, None]
    for i, j in itertools.combinations(range(d), 2):
        for at_i, at_j in itertools.product((0, 1), repeat=2):
            points = ends[0] + t * (ends[1] - ends[0])
            points[:, i], points[:, j] = ends[at_i, i], ends[at_j, j]
            found.append((points, 2 * i + at_i, 2 * j + at_j))
    return found
