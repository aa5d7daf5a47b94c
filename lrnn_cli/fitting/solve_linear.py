"""The linear solver as a whole: choosing ω, growing the network, falling back on separable features.

ω, the largest frequency of the random features, is the one knob that matters. A few values are tried on a
small network and the residual on points that took no part in the solution decides; a network of r
features in d dimensions then takes ω (r / r₀)^{1/d}, so that the features per wavelength stay the same. r
grows until that residual meets the target, or the largest network is reached, or there is nothing more to
gain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch

from lrnn_cli.errors import FitError
from lrnn_cli.fitting.enrichment import Enrichment
from lrnn_cli.fitting.error_probe import ErrorProbe
from lrnn_cli.fitting.fields import AnyField, ProductField, with_mean
from lrnn_cli.fitting.linear_features import draw_features, jet_in_blocks, solve_columns
from lrnn_cli.fitting.separable import SeparableSystem
from lrnn_cli.numerics.domains import Box
from lrnn_cli.objectives.collocation import (
    N_HELDOUT,
    Collocation,
    Scales,
    choose_points,
    collocate,
    measure_scales,
)
from lrnn_cli.objectives.poisson import Problem

ROWS_PER_FEATURE = 2.5
ADAPTATIONS = 2  # of the points, per size of network
HOPELESS = 1e-2  # residual of a solution that is worth a warning
STALL = 0.5  # a larger network has to bring the residual below this part of the last
SIZES = {1: (64, 128, 256), 2: (384, 1024, 2048), 3: (512, 1536, 2560)}
OMEGAS = {1: (4.0, 8.0, 16.0, 32.0, 64.0), 2: (4.0, 8.0, 12.0, 16.0, 24.0), 3: (2.0, 4.0, 8.0, 12.0)}
SEPARABLE_SIZES = {1: (32, 64, 128, 256), 2: (32, 64, 128, 192, 256), 3: (24, 40, 56)}
LIFT_BLOCK = 4096  # nodes at which a lift is evaluated at once
SEPARABLE_OMEGA = 0.4  # largest frequency per feature of an axis


@dataclass(frozen=True)
class SolveStep:
    """One solved system (or one step of an iteration): what the progress display shows.

    Attributes:
        step: number of the step.
        loss: relative residual, on held-out points where the solver is linear.
        seconds: since the start.
        progress: part of the work done, 0 to 1.
        steps_per_s: steps per second; 0 where that means nothing.
        psnr_db: not defined for equations.
        event: a line for the user.
        error: relative error at a few points where the exact solution is known; for display alone.
    """

    step: int
    loss: float
    seconds: float
    progress: float
    steps_per_s: float = 0.0
    psnr_db: float | None = None
    event: str | None = None
    error: float | None = None


@dataclass
class Solved:
    """The best solution so far, how it came about, and what the user should know."""

    solution: AnyField | None = None
    residual: float = float("inf")
    about: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reached: bool = False

    def offer(self, solution: AnyField, residual: float, about: dict[str, object], target: float) -> None:
        """Keep a solution if its residual is smaller."""
        if residual < self.residual:
            self.solution, self.residual, self.about = solution, residual, about
        self.reached = self.residual <= target


def is_separable(problem: Problem) -> bool:
    """Tell whether separable features apply: a box, u known all around, constant coefficients."""
    if not isinstance(problem.domain, Box) or not problem.hard:
        return False
    points, _ = problem.domain.quadrature(500)
    return all(float(values.max() - values.min()) == 0.0 for values in (problem.a(points), problem.c(points)))


def solve_linear(
    problem: Problem,
    solved: Solved,
    *,
    target: float,
    enrichment: Enrichment,
    features: str = "auto",
    collocation: str = "auto",
    n_features: int | None = None,
    n_factors: int = 2,
    omega: float | None = None,
    seed: int = 0,
    time_s: float | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[SolveStep]:
    """Solve by least squares, yielding a record per system solved.

    Args:
        problem: what to solve, in at most three dimensions.
        solved: filled in as the solver goes on.
        target: relative residual on held-out points at which to stop.
        enrichment: singular functions to add.
        features: product, separable, or auto: product first, separable where these apply and product
            falls short.
        collocation: kind of the points of product features (`objectives.collocation`); separable ones bring
            their own.
        n_features: r, instead of growing it; of separable features those of an axis.
        n_factors: D, factors per product neuron.
        omega: instead of choosing it.
        seed: of the random features.
        time_s: no new system is begun after this many seconds.
        should_stop: asked before each system.

    Yields:
        a record per system.

    Raises:
        FitError: when no system could be solved.
    """
    began = time.perf_counter()
    run = _Run(problem, solved, target, enrichment, n_factors, seed, collocation)
    probe = ErrorProbe(problem, every_s=0.0)
    d = min(problem.n_inputs, 3)
    separable = features in ("auto", "separable") and is_separable(problem)
    if features == "separable" and not separable:
        solved.notes.append(
            "separable features need a box, u known all around and constant coefficients: product ones taken"
        )

    def over() -> bool:
        return should_stop() or (time_s is not None and time.perf_counter() - began > time_s)

    def record(event: str, progress: float) -> SolveStep:
        run.count += 1
        solution = solved.solution
        error = None if solution is None else probe(lambda: solution)
        seconds = time.perf_counter() - began
        return SolveStep(run.count, solved.residual, seconds, progress, event=event, error=error)

    def adapted(size: int, omega: float, progress: float) -> Iterator[SolveStep]:
        for _ in range(ADAPTATIONS if collocation == "adaptive" else 0):
            if solved.reached or over():
                return
            found = run.product(size, omega, adapted=True)
            yield record(f"{size} features, points by the residual: held-out residual {found:.1e}", progress)

    sizes = (n_features,) if n_features else SIZES[d]
    if not (features == "separable" and separable):
        tries = (omega,) if omega else OMEGAS[d]
        best = min((run.product(sizes[0], w), w) for w in tries if not (solved.solution and over()))[1]
        yield record(f"{sizes[0]} features, omega {best:g}: held-out residual {solved.residual:.1e}", 0.2)
        if best == max(tries) and len(tries) > 1 and not solved.reached:
            solved.notes.append(
                f"the largest omega tried, {best:g}, was the best: the solution may be finer still"
            )
        if len(sizes) == 1:
            yield from adapted(sizes[0], best, 0.3)
        previous = solved.residual
        for k, size in enumerate(sizes[1:]):
            hopeless = separable and (k > 0 or previous > 0.1)
            if solved.reached or over() or hopeless:
                break
            scaled = omega or best * (size / sizes[0]) ** (1 / problem.n_inputs)
            found = run.product(size, scaled)
            yield record(f"{size} features, omega {scaled:.3g}: held-out residual {found:.1e}", 0.4 + 0.3 * k)
            yield from adapted(size, scaled, 0.4 + 0.3 * k)
            found = min(found, solved.residual)
            if found > STALL * previous:
                break
            previous = found
    if separable and not solved.reached:
        for k, size in enumerate(
            (n_features,) if n_features and features == "separable" else SEPARABLE_SIZES[d]
        ):
            if solved.reached or over():
                break
            found = run.separable(size, omega or SEPARABLE_OMEGA * size)
            yield record(
                f"separable, {size} features per axis: held-out residual {found:.1e}", 0.7 + 0.05 * k
            )
            if k > 1 and found > STALL * solved.residual and solved.residual < 1e-6:
                break
    if solved.solution is None:
        raise FitError("least squares: stopped before the first solution")
    if solved.residual > HOPELESS:
        solved.notes.append(
            f"the held-out residual stays at {solved.residual:.1e}: "
            "the system is singular or the solution is not smooth"
        )
    solved.solution = with_mean(problem, solved.solution)


class _Run:
    """What the systems of one run share."""

    def __init__(
        self,
        problem: Problem,
        solved: Solved,
        target: float,
        enrichment: Enrichment,
        n_factors: int,
        seed: int,
        collocation: str,
    ) -> None:
        self.collocation, self.adaptations = collocation, 0
        self.problem, self.solved, self.target = problem, solved, target
        self.enrichment, self.n_factors, self.seed = enrichment, n_factors, seed
        self.scales: Scales = measure_scales(problem)
        self.heldout: Collocation = collocate(problem, N_HELDOUT, self.scales, heldout_seed=seed + 17)
        self.count = 0
        self._rows: dict[int, Collocation] = {}

    def _lay(self, n_features: int, adapted: bool) -> Collocation:
        """Return the rows of a system; adapted to the best solution so far, or the same as last time."""
        if adapted or n_features not in self._rows:
            n, best = round(ROWS_PER_FEATURE * n_features), self.solved.solution if adapted else None
            self.adaptations += adapted
            jet = None if best is None else best.jet
            seed = self.seed + self.adaptations
            points = choose_points(self.problem, n, self.collocation, jet, seed)
            self._rows = {n_features: collocate(self.problem, n, self.scales, points=points)}
        return self._rows[n_features]

    def product(self, n_features: int, omega: float, *, adapted: bool = False) -> float:
        """Solve with product features and return the residual on held-out points.

        Args:
            n_features: r.
            omega: ω.
            adapted: choose the points by the residual of the best solution so far.

        Returns:
            the relative residual.
        """
        problem = self.problem
        training = self._lay(n_features, adapted)
        features = draw_features(
            problem.domain.bounds(), n_features, self.n_factors, omega, self.seed, problem.n_time
        )

        def columns(where: Collocation) -> torch.Tensor:
            return torch.cat([features.columns(where.rows), self.enrichment.columns(where.rows)], 1)

        system = columns(training)
        weights = solve_columns(system, training.rows.target)
        residual = self.heldout.residual(columns(self.heldout) @ weights)
        solution = ProductField(
            problem, features, weights[:n_features], self.enrichment, weights[n_features:]
        )
        about: dict[str, object] = {
            "solver": "lstsq", "features": "product", "n_features": n_features, "n_factors": self.n_factors,
            "omega": omega, "rows": len(training.rows), "singular_functions": len(self.enrichment),
            "collocation": self.collocation, "adaptations": self.adaptations,
            "residual_training": training.residual(system @ weights),
        }  # fmt: skip
        self.solved.offer(solution, residual, about, self.target)
        return residual

    def separable(self, n_features: int, omega: float) -> float:
        """Solve with separable features and return the residual on held-out points."""
        problem = self.problem
        system = SeparableSystem(*problem.domain.bounds(), n_features, omega, self.seed)
        points = system.grid()
        a, c = float(problem.a(points[:1])), float(problem.c(points[:1]))
        lift = problem.lift
        if lift is None:
            source = problem.source_term(points)
        else:
            source = problem.interior(points).beyond(jet_in_blocks(lift.jet, points, LIFT_BLOCK)).target
        found, training = system.solve(source, a, c)
        solution = replace(found, lift=lift)
        n = self.heldout.n_interior
        rows = problem.interior(self.heldout.rows.points[:n])
        size = self.scales.equation * n**0.5
        residual = float((rows.apply(solution.jet(rows.points)) - rows.target).norm()) / size
        about: dict[str, object] = {
            "solver": "lstsq", "features": "separable", "n_features": n_features,
            "n_factors": problem.n_inputs, "omega": omega, "rows": len(points), "singular_functions": 0,
            "residual_training": training,
        }  # fmt: skip
        self.solved.offer(solution, residual, about, self.target)
        return residual
