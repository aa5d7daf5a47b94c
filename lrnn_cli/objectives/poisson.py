"""Linear elliptic problems as data: -∇·(a ∇u) + c u = f, Dirichlet or Neumann conditions on the sides.

    domain: {kind: disc, radius: 2}
    f: "1"                          left out when `exact` is given: then derived from it
    exact: "sin(pi*x)*sin(pi*y)"    for measuring; where f or boundary data are left out, they are derived
    a: "1", c: "0"                  a > 0 without jumps; c < 0 is a Helmholtz problem
    boundary: {all: {dirichlet: "0"}, x1: {neumann: "y"}}     or "exact": taken from there

The sign convention is -Δu = f; Neumann data are ∂u/∂n with the outward normal. With `time_to` a problem is
unsteady (`objectives.unsteady`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.domains import AnyDomain, Box, Domain
from lrnn_cli.numerics.expression import Expression
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.lifting import Lift
from lrnn_cli.numerics.rows import Rows
from lrnn_cli.numerics.shape import Boundary

_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
N_CHECK = 4000  # points at which data are looked at before solving


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

    @model_validator(mode="before")
    @classmethod
    def _implicit_with_parameters(cls, data: Any) -> Any:
        """Write the parameters into the expression of an implicit domain, which is a shape without them."""
        if not isinstance(data, Mapping):
            return data
        domain, parameters = data.get("domain"), data.get("parameters")
        if not isinstance(domain, Mapping) or not isinstance(parameters, Mapping):
            return data
        text = domain.get("expression")
        if not isinstance(text, str):
            return data

        def value(found: re.Match[str]) -> str:
            known = parameters.get(found[0])
            return found[0] if known is None else f"({known})"

        return {**data, "domain": {**domain, "expression": _NAME.sub(value, text)}}

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
        bounded: the equation at points is all of it, so that its residual bounds the error; it is not where
            derivatives of the data jump between the points.
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
    bounded: bool = True
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
            "residual integrated by quadrature; plus sqrt(|domain|) max |boundary error| over sample points"
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
        where a side is Neumann, the sum is not positive (Helmholtz beyond the first eigenvalue), or the
        problem is not `bounded`.
        """
        if not (self.bounded and all(dirichlet for dirichlet, _ in self.sides)):
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

    def operator_size(self, a: float | None = None) -> float:
        """Return a λ₁, a typical size of the operator on u.

        Args:
            a: a diffusion; the mean of the problem's own when left out.
        """
        return (self.mean_diffusion() if a is None else a) * self.lowest_eigenvalue()

    def mean_diffusion(self) -> float:
        """Return the mean of a over the domain."""
        points, weights = self.domain.quadrature(N_CHECK)
        return float((weights * self.a(points)).sum() / weights.sum())
