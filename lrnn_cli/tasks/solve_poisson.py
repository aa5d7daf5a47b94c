"""`solve-poisson`: a problem becomes a field that solves it, with figures that say how well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lrnn_cli.errors import ConfigError, FitError
from lrnn_cli.fitting.enrichment import Enrichment, find_enrichment
from lrnn_cli.fitting.fields import AnyField
from lrnn_cli.fitting.levenberg import LM_DIMENSIONS, solve_levenberg
from lrnn_cli.fitting.solve_linear import Solved, SolveStep, solve_linear
from lrnn_cli.fitting.solve_settings import SolveSettings
from lrnn_cli.objectives.poisson import Problem, ProblemConfig, compile_problem
from lrnn_cli.pictures.field import draw_field
from lrnn_cli.signals.field import encode_csv, encode_npz, encode_vti
from lrnn_cli.tasks.measure_poisson import Samples, measure, reference, sample

UNTIL_LSTSQ = 1e-11
UNTIL_LM = 1e-7


@dataclass(frozen=True)
class SolvedProblem:
    """Measures and samples of a finished solution."""

    metrics: dict[str, Any]
    samples: Samples
    truth: np.ndarray | None
    truth_name: str
    summary: str


class PoissonTask:
    """One problem and how to solve it.

    Attributes:
        problem: compiled and checked.
        solver: lstsq or lm, never auto.
        target: relative residual at which to stop.
        solved: the best solution so far.
    """

    def __init__(self, config: ProblemConfig, settings: SolveSettings) -> None:
        """Read the problem and decide on the solver.

        Raises:
            ConfigError: when the problem makes no sense, or the solver does not apply to it.
        """
        self.settings = settings
        self.problem: Problem = compile_problem(config)
        d = self.problem.n_inputs
        self.solver = settings.solver if settings.solver != "auto" else ("lstsq" if d <= 3 else "lm")
        if self.solver == "lstsq" and d > 3:
            raise ConfigError(
                f"--solver lstsq: {d} dimensions are too many for frozen random features; use --solver lm"
            )
        if self.solver == "lm" and not LM_DIMENSIONS[0] <= d <= LM_DIMENSIONS[1]:
            raise ConfigError(f"--solver lm: expected at most {LM_DIMENSIONS[1]} dimensions, got {d}")
        self.target = settings.until or (UNTIL_LSTSQ if self.solver == "lstsq" else UNTIL_LM)
        self.solved = Solved()
        self.enrichment, notes = find_enrichment(self.problem)
        self.notes = [*self.problem.notes, *notes]
        if len(self.enrichment) and not settings.enrich:
            self.enrichment = Enrichment()
            self.notes.append("enrichment is off: expect an error around 1e-2")
        elif len(self.enrichment) and self.solver == "lm":
            self.notes.append("Levenberg-Marquardt takes no singular functions; --solver lstsq does")

    def steps(self, should_stop: Callable[[], bool]) -> Iterator[SolveStep]:
        """Solve, yielding a record per step.

        Yields:
            the records of the solver.
        """
        s = self.settings
        if self.solver == "lm":
            yield from solve_levenberg(
                self.problem, self.solved, target=self.target, rank=s.rank, n_factors=s.dbar,
                omega=s.omega, n_steps=s.steps, seed=s.seed, time_s=s.time_s, should_stop=should_stop,
            )  # fmt: skip
            return
        yield from solve_linear(
            self.problem, self.solved, target=self.target, enrichment=self.enrichment, features=s.features,
            n_features=s.rank, n_factors=s.dbar or 2, omega=s.omega, seed=s.seed, time_s=s.time_s,
            should_stop=should_stop,
        )  # fmt: skip

    def evaluate(self, solution: AnyField) -> SolvedProblem:
        """Measure a solution, as read back from its checkpoint.

        Args:
            solution: the field.

        Returns:
            measures, samples, and what the picture shows beside them.

        Raises:
            FitError: when its values are not finite.
        """
        samples = sample(self.problem, solution, self.settings.grid)
        inside = self.problem.domain.inside(torch.from_numpy(samples.points)).numpy()
        if not np.isfinite(samples.u[inside]).all():
            raise FitError("the solution holds NaN or infinite values")
        metrics = measure(self.problem, solution, samples)
        kind = self.settings.reference
        found = None if kind == "none" else reference(self.problem, samples, kind)
        metrics["reference"] = None if found is None else found.record
        truth, name = samples.exact, "exact"
        if truth is None and found is not None:
            truth, name = found.values, found.record["name"]
        return SolvedProblem(metrics, samples, truth, name, self._summary(solution, metrics))

    def _summary(self, solution: AnyField, metrics: dict[str, Any]) -> str:
        about = self.solved.about
        parts = [f"{about['solver']}, {solution.n_coefficients} numbers"]
        if metrics["rel_l2"] is not None:
            parts.append(f"relative L2 error {metrics['rel_l2']:.1e}")
        parts.append(f"residual {metrics['residual_heldout']:.1e}")
        if metrics["error_bound_relative"] is not None:
            parts.append(f"error bound {metrics['error_bound_relative']:.1e}")
        against = metrics["reference"]
        if against is not None:
            known = against["rel_l2"] if against["rel_l2"] is not None else against["difference"]
            word = "error" if against["rel_l2"] is not None else "difference"
            parts.append(f"{against['name']} {word} {known:.1e} in {against['seconds'] * 1e3:.1f} ms")
        return ", ".join(parts)

    def files(self, solved: SolvedProblem) -> dict[str, bytes]:
        """Return the output files by name: solution.npz, solution.csv and, on a grid, solution.vti."""
        samples = solved.samples
        d = self.problem.n_inputs
        names = list("xyz"[:d]) if d <= 3 else [f"x{k + 1}" for k in range(d)]
        columns = {name: samples.points[:, k] for k, name in enumerate(names)}
        columns["u"] = samples.u
        columns |= {f"du_d{name}": samples.gradient[:, k] for k, name in enumerate(names)}
        columns["residual"] = samples.residual
        shape = samples.shape
        arrays = {
            "u": samples.u.reshape(shape),
            "gradient": samples.gradient.reshape(*shape, d),
            "residual": samples.residual.reshape(shape),
        }
        if samples.exact is not None:
            columns["exact"] = samples.exact
            arrays["exact"] = samples.exact.reshape(shape)
        inside = np.isfinite(samples.u)
        files = {"solution.csv": encode_csv({name: column[inside] for name, column in columns.items()})}
        if samples.axes:
            files["solution.vti"] = encode_vti(samples.axes, arrays)
            grid = dict(zip(names, samples.axes, strict=True))
        else:
            grid = {"points": samples.points}
        files["solution.npz"] = encode_npz({**grid, **arrays})
        return files

    def picture(self, solved: SolvedProblem) -> bytes:
        """Return u | exact or reference | log error | residual as PNG."""
        samples, shape = solved.samples, solved.samples.shape
        return draw_field(
            samples.axes,
            samples.u.reshape(shape),
            None if solved.truth is None else solved.truth.reshape(shape),
            samples.residual.reshape(shape),
            truth_name=solved.truth_name,
            title=f"{self.problem.config.name}: {solved.summary}",
        )
