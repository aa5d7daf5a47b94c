"""`solve-poisson`: a problem becomes a field that solves it, with figures that say how well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from lrnn_cli.errors import ConfigError, FitError
from lrnn_cli.fitting.catalog_network import choose_config
from lrnn_cli.fitting.device import resolve_device, resolve_threads
from lrnn_cli.fitting.enrichment import Enrichment, find_enrichment
from lrnn_cli.fitting.fields import AnyField
from lrnn_cli.fitting.levenberg import LM_DIMENSIONS, check_size, default_factors, solve_levenberg
from lrnn_cli.fitting.solve_linear import Solved, SolveStep, solve_linear
from lrnn_cli.fitting.solve_settings import SolveSettings
from lrnn_cli.fitting.train_equation import RATE, train_network
from lrnn_cli.kernels.dispatch import Engine, choose_engine
from lrnn_cli.models.budget import missed
from lrnn_cli.models.catalog import row
from lrnn_cli.models.contract import ModelConfig
from lrnn_cli.objectives.poisson import Problem, ProblemConfig
from lrnn_cli.objectives.unsteady import compile_equation
from lrnn_cli.signals.field import encode_csv, encode_npz, encode_vti
from lrnn_cli.signals.unstructured import encode_vtu
from lrnn_cli.tasks.measure_poisson import Samples, measure, sample
from lrnn_cli.tasks.reference_poisson import Reference, check_reference, reference

UNTIL_LSTSQ = 1e-11
UNTIL_TRAINED = 1e-7
LINEAR_DIMENSIONS = 3
LONG_RUN_S, LONG_RUN_STEPS = 20.0, 500  # from which compiling a kernel, 3 s once per machine, pays
ON_GPUS = ("adam", "lbfgs")  # solvers that may run there; the others are linear algebra of the CPU
MOST_NODES = 4097**2  # of the output: about 2 GB of files


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
        solver: lstsq, lm, adam or lbfgs, never auto.
        model: name and configuration of the network that is trained; None for the shallow product network.
        device: where a network is trained.
        target: relative residual at which to stop.
        engine: of product layers, and the reason.
        solved: the best solution so far.
    """

    def __init__(self, config: ProblemConfig, settings: SolveSettings) -> None:
        """Read the problem and decide on the solver.

        Raises:
            ConfigError: when the problem makes no sense, or the solver does not apply to it.
            DeviceError: when the device asked for is not there.
        """
        self.settings = settings
        self.problem: Problem = compile_equation(config)
        d = self.problem.n_inputs
        self.solver = settings.solver if settings.solver != "auto" else self._solver()
        if self.problem.n_time:
            self._check_unsteady()
        if self.solver == "lstsq" and d > LINEAR_DIMENSIONS:
            raise ConfigError(
                f"--solver lstsq: {d} dimensions are too many for frozen random features; use --solver lm"
            )
        if self.solver == "lm" and not LM_DIMENSIONS[0] <= d <= LM_DIMENSIONS[1]:
            raise ConfigError(f"--solver lm: expected at most {LM_DIMENSIONS[1]} dimensions, got {d}")
        if settings.grid and d <= 3 and settings.grid**d > MOST_NODES:
            raise ConfigError(
                f"--grid {settings.grid}: {settings.grid**d} nodes in {d} dimensions, at most {MOST_NODES}"
            )
        check_reference(self.problem, settings.reference)
        if settings.lr and self.solver != "adam":
            raise ConfigError(f"--lr: {self.solver} has no learning rate; leave it out or use --solver adam")
        if settings.steps and self.solver == "lstsq":
            raise ConfigError(
                "--steps: lstsq solves systems and has no steps of training; "
                "limit it by --time, or use --solver lm, adam or lbfgs"
            )
        if settings.features != "auto" and self.solver != "lstsq":
            raise ConfigError(
                f"--features {settings.features}: of the least squares; leave it out, or use --solver lstsq"
            )
        if settings.collocation == "adaptive" and self.solver == "lbfgs":
            raise ConfigError(
                "--collocation adaptive: lbfgs needs the same points in all steps; "
                "use --solver lstsq, lm or adam"
            )
        self.device = self._device()
        self.target = settings.until or (UNTIL_LSTSQ if self.solver == "lstsq" else UNTIL_TRAINED)
        self.solved = Solved()
        self.enrichment, notes = find_enrichment(self.problem)
        self.notes = [*self.problem.notes, *notes]
        if settings.solver == "auto" and self.solver == "adam" and settings.model in (None, "lrnn"):
            given = ", ".join([*settings.options, *(["--lr"] if settings.lr else [])])
            self.notes.append(f"{given}: for training, so solved by adam; --solver chooses another")
        self.model = self._model()
        if settings.engine not in (None, "auto"):
            _ = self.engine  # what is wrong with it is told at once
        if len(self.enrichment) and not settings.enrich:
            self.enrichment = Enrichment()
            self.notes.append("enrichment is off: expect an error around 1e-2")
        elif len(self.enrichment) and self.solver != "lstsq":
            self.notes.append(f"--solver {self.solver} takes no singular functions; --solver lstsq does")

    @property
    def network(self) -> str:
        """Name of the network in the catalog."""
        return self.model[0] if self.model else "lrnn"

    @property
    def lr(self) -> float | None:
        """Peak learning rate; None for solvers that have none."""
        return self.settings.lr or RATE if self.solver == "adam" else None

    def _check_unsteady(self) -> None:
        """Refuse what is there for steady problems alone.

        Raises:
            ConfigError: when another solver is asked for.
        """
        if self.solver != "lstsq":
            raise ConfigError(
                f"--solver {self.solver}: unsteady problems (--time-to) are solved by lstsq alone"
            )

    def _solver(self) -> str:
        """Choose the solver: least squares where it applies, Adam for networks that have no Jacobian here."""
        s, d = self.settings, self.problem.n_inputs
        if s.model not in (None, "lrnn") or s.options or s.lr:
            return "adam"
        return "lstsq" if d <= LINEAR_DIMENSIONS and s.params is None else "lm"

    def _device(self) -> torch.device:
        """Choose the device, the CPU unless another is asked for.

        Returns:
            the device.

        Raises:
            ConfigError: when a GPU is asked for by name and the solver has nothing to do there.
            DeviceError: when it is not there.
        """
        asked = self.settings.device or "cpu"
        if self.solver in ON_GPUS:
            return resolve_device(asked)
        if asked.startswith("cuda"):
            raise ConfigError(
                f"--device {asked}: --solver {self.solver} runs on the CPU; "
                "leave it out, or use --solver adam"
            )
        resolve_device(asked)  # what is misspelt is told
        return torch.device("cpu")

    def _model(self) -> tuple[str, ModelConfig] | None:
        """Choose the network to train; None where the solver brings its own."""
        s = self.settings
        name = s.model or "lrnn"
        row(name)
        if self.solver == "lstsq":
            if name != "lrnn" or s.options or s.params:
                given = "--model" if name != "lrnn" else ", ".join(s.options) or "--params"
                raise ConfigError(
                    f"{given}: --solver lstsq chooses its own features; use --solver adam, lbfgs or lm"
                )
            return None
        if self.solver == "lm" and name == "lrnn" and not s.options:
            d = self.problem.n_inputs
            if s.params and s.rank:
                raise ConfigError("--params sets rank of lrnn: give one of them")
            count = (self._rank() or 1) * self._per_neuron(d) + (not self.problem.hard)
            check_size(count)
            if s.params and (note := missed(name, count, s.params)):
                self.notes.append(note)
            return None
        if s.omega is not None:
            raise ConfigError(f"--omega means nothing to --solver {self.solver}; use --omega-first")
        own = {"rank": s.rank, "dbar": s.dbar}
        options = {**s.options, **{key: value for key, value in own.items() if value is not None}}
        config, count = choose_config(name, options, s.params, self.problem.n_inputs)
        if self.solver == "lm":
            check_size(count)
        if s.params and (note := missed(name, count, s.params)):
            self.notes.append(note)
        return name, config

    @cached_property
    def engine(self) -> Engine:
        """The engine of the product layers' values, gradients and Laplacians.

        Returns:
            the engine and the reason; `torch` where there are no such layers.

        Raises:
            ConfigError: when one is asked for that does not exist, is not possible, or has nothing to do.
        """
        asked = self.settings.engine
        family = self.model[1].kernel_family if self.model else None
        if family is None:
            reason = "the model has no product layer" if self.model else "closed forms of the solver's own"
            if asked not in (None, "auto"):
                raise ConfigError(f"--engine {asked}: {reason}; leave it out")
            return Engine("torch", reason)
        if self.solver == "lm" and asked in (None, "auto"):
            return Engine("reference", "the Jacobian by rows takes it")
        time_s, steps = self.settings.time_s, self.settings.steps
        long_run = time_s >= LONG_RUN_S if time_s else steps is None or steps >= LONG_RUN_STEPS
        return choose_engine(
            asked or "auto", family=family, dtype=torch.float64, device=self.device,
            long_run=long_run, laplacian=True,
        )  # fmt: skip

    def steps(self, should_stop: Callable[[], bool]) -> Iterator[SolveStep]:
        """Solve, yielding a record per step.

        Yields:
            the records of the solver.
        """
        s = self.settings
        threads = resolve_threads(s.threads)
        if self.solver == "lm":
            yield from solve_levenberg(
                self.problem, self.solved, target=self.target, rank=self._rank(), n_factors=s.dbar,
                omega=s.omega, model=self.model, collocation=s.collocation, n_steps=s.steps,
                seed=s.seed, time_s=s.time_s, threads=threads, engine=self.engine.name,
                should_stop=should_stop,
            )  # fmt: skip
            return
        if self.model is not None:
            name, config = self.model
            yield from train_network(
                self.problem, self.solved, method=self.solver, name=name, config=config, target=self.target,
                lr=s.lr, collocation=s.collocation, n_steps=s.steps, seed=s.seed, time_s=s.time_s,
                threads=threads, engine=self.engine.name, device=self.device, should_stop=should_stop,
            )  # fmt: skip
            return
        yield from solve_linear(
            self.problem, self.solved, target=self.target, enrichment=self.enrichment, features=s.features,
            collocation=s.collocation, n_features=s.rank, n_factors=s.dbar or 2, omega=s.omega, seed=s.seed,
            time_s=s.time_s, should_stop=should_stop,
        )  # fmt: skip

    def _rank(self) -> int | None:
        """Return r of the shallow product network; from the budget where that is given."""
        s, d = self.settings, self.problem.n_inputs
        if s.params is None:
            return s.rank
        return max(1, round(s.params / self._per_neuron(d)))

    def _per_neuron(self, d: int) -> int:
        """Return the numbers of a neuron of the shallow product network: a, b and v of each factor, and S."""
        return (self.settings.dbar or default_factors(d)) * (d + 2) + 1

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
        found = self._reference(samples)
        metrics["reference"] = None if found is None else found.record
        truth, name = samples.exact, "exact"
        if truth is None and found is not None:
            truth, name = found.values, found.record["name"]
        return SolvedProblem(metrics, samples, truth, name, self._summary(solution, metrics))

    def _reference(self, samples: Samples) -> Reference | None:
        """Run the classical solver; one that fails costs a word, not the solution."""
        kind = self.settings.reference
        try:
            return None if kind == "none" else reference(self.problem, samples, kind)
        except ValueError as error:
            self.solved.notes.append(f"--reference {kind}: {error}")
            return None

    def _summary(self, solution: AnyField, metrics: dict[str, Any]) -> str:
        about = self.solved.about
        parts = [f"{about['solver']}, {solution.n_coefficients} numbers"]
        if self.network != "lrnn":
            parts[0] = f"{self.network} by {parts[0]}"
        if metrics["rel_l2"] is not None:
            parts.append(f"relative L2 error {metrics['rel_l2']:.1e}")
        parts.append(f"residual {metrics['residual_heldout']:.1e}")
        if metrics["error_bound_relative"] is not None:
            parts.append(f"error bound {metrics['error_bound_relative']:.1e} of |u|")
        against = metrics["reference"]
        if against is not None:
            known = against["rel_l2"] if against["rel_l2"] is not None else against["difference"]
            word = "error" if against["rel_l2"] is not None else "difference"
            told = "0 everywhere" if known is None else f"{word} {known:.1e}"
            parts.append(f"{against['name']} {told} in {against['seconds'] * 1e3:.1f} ms")
        return ", ".join(parts)

    def files(self, solved: SolvedProblem) -> dict[str, bytes]:
        """Return the output files by name.

        solution.npz, solution.csv and, on a grid, solution.vti, or .vtu where the domain does not fill it.
        """
        samples = solved.samples
        d, names = self.problem.n_inputs, self.problem.coordinates
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
            if inside.all() or d != 2:
                files["solution.vti"] = encode_vti(samples.axes, arrays)
            else:
                files["solution.vtu"] = encode_vtu(samples.axes, inside.reshape(shape), arrays)
            grid = dict(zip(names, samples.axes, strict=True))
        else:
            grid = {"points": samples.points}
        files["solution.npz"] = encode_npz({**grid, **arrays})
        return files

    @property
    def picture_module(self) -> str:
        """Name of the module that draws the preview, to be loaded while the solver is busy."""
        if self.problem.n_time:
            return "lrnn_cli.pictures.unsteady"
        plane = self.problem.n_inputs in (2, 3)
        return "lrnn_cli.pictures.field" if plane else "lrnn_cli.pictures.field_figures"

    def picture(self, solved: SolvedProblem) -> bytes:
        """Return u | exact or reference | log error | residual as PNG."""
        samples, shape = solved.samples, solved.samples.shape
        draw: Callable[..., bytes]
        if self.problem.n_time:
            from lrnn_cli.pictures.unsteady import draw_unsteady as draw
        else:
            from lrnn_cli.pictures.field import draw_field as draw
        return draw(
            samples.axes,
            samples.u.reshape(shape),
            None if solved.truth is None else solved.truth.reshape(shape),
            samples.residual.reshape(shape),
            truth_name=solved.truth_name,
            title=f"{self.problem.config.name}: {solved.summary}",
        )
