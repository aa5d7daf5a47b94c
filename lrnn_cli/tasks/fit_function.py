"""`fit-function`: a function becomes a network, judged by its errors, their place and their regularity."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.predict import predict
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.contract import count_parameters
from lrnn_cli.numerics import metrics
from lrnn_cli.numerics.checks import count_nonfinite, describe_nonfinite
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.points import Places, Points, rows_of, uniform_points
from lrnn_cli.numerics.regularity import accuracy, energies, zygmund, zygmund_triples
from lrnn_cli.numerics.spectrum import radial_spectrum
from lrnn_cli.objectives.function_targets import Target
from lrnn_cli.pictures.function import FunctionView, Spectrum, draw_function
from lrnn_cli.signals.field import encode_npz
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.function_defaults import with_frequencies
from lrnn_cli.tasks.function_settings import FunctionOptions, label, make_target
from lrnn_cli.tasks.learned_components import learned_curves
from lrnn_cli.tasks.regression import Evaluation, ModelChoice, Plan, make_plan

LARGEST = 2**24  # samples
SCATTERED = 8192  # points of a target without a mesh
LARGEST_FINE = 2**20  # points of the finer mesh; beyond, fresh points are drawn instead
TRIPLES = 4096  # second differences of a residual without a mesh
SHORTEST, LONGEST = 0.02, 1.0  # of their steps
LINE = 512  # points along the first axis

CONVENTION = (
    "values of the function as they are, float32, at the samples; psnr_db at peak 1; *_heldout at places "
    "that were not fitted: a mesh of twice the samples per axis, or fresh points; zygmund: seminorm of order "
    "zygmund_order of the residual; energy_near, energy_elsewhere: mean squared residual up to near_distance "
    "from the irregular set, and beyond"
)


def sample_function(options: FunctionOptions) -> Signal:
    """Evaluate the function that the settings name where it is to be fitted.

    Args:
        options: function and samples.

    Returns:
        The samples, of kind "function".

    Raises:
        ConfigError: when the settings name no function, or more samples than there is room for.
        InputError: when the function is not finite there.
    """
    target = make_target(options)
    places = _places(target, options)
    values = _finite_values(target, places)
    return Signal(
        values=values.reshape(*places.shape, 1),
        kind="function",
        peak=1.0,
        name=label(options),
        path=target.formula,
        sha256=hashlib.sha256(rows_of(places).tobytes() + values.tobytes()).hexdigest(),
        format={"dtype": "float64", "target": target.name, "formula": target.formula},
        points=places.rows if isinstance(places, Points) else None,
    )


def _places(target: Target, options: FunctionOptions) -> Places:
    mesh = options.mesh or (None if options.points else target.mesh)
    if mesh is None:
        n = options.points or SCATTERED
        if n * target.n_inputs > LARGEST:
            raise ConfigError(
                f"--points {n}: at most {LARGEST // target.n_inputs} in {target.n_inputs} dimensions"
            )
        return uniform_points(n, target.n_inputs, options.data_seed)
    if mesh**target.n_inputs > LARGEST:
        raise ConfigError(
            f"--mesh {mesh}: {mesh}^{target.n_inputs} samples are more than {LARGEST}; use --points"
        )
    return Grid((mesh,) * target.n_inputs)


def _finite_values(target: Target, places: Places) -> np.ndarray:
    rows = rows_of(places)
    with np.errstate(all="ignore"):
        values = target.values(rows).astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        where = ", ".join(f"{x:.4g}" for x in rows[bad[0]][:4]) + (", …" if rows.shape[1] > 4 else "")
        found = describe_nonfinite(*count_nonfinite(values), values.size)
        what = f"{target.name} {target.formula[:60]!r}"
        raise InputError(
            f"{what}: {found}, first at ({where}); it must be finite, in float32, at all samples"
        )
    return values


@dataclass(frozen=True)
class FunctionTask:
    """What is particular to functions: targets of variance 1, measures of regularity, and the preview."""

    signal: Signal
    options: FunctionOptions

    @property
    def target(self) -> Target:
        """The function."""
        return make_target(self.options)

    def plan(self, choice: ModelChoice, fit: FitSettings) -> Plan:
        """Return the plan: first frequencies from the function's spectrum unless they are given."""
        chosen = with_frequencies(choice, self.target, self.signal.places, self.signal.values[..., 0])
        return make_plan(self.signal, chosen, fit)

    def transform(self) -> tuple[float, float]:
        """Return mean and standard deviation: targets of mean 0 and variance 1; a constant has scale 1."""
        values = self.signal.values.astype(np.float64)
        mean, deviation = float(values.mean()), float(values.std())
        return mean, deviation if deviation > 1e-6 * abs(mean) and deviation > 1e-30 else 1.0

    def evaluate(self, fitted: Fitted, runner: BlockRunner) -> Evaluation:
        """Measure the fit at the samples and beside them."""
        target, places = self.target, self.signal.places
        truth = self.signal.values[..., 0]
        values = predict(fitted, places, runner).numpy()[..., 0]
        n_params = count_parameters(fitted.model)
        psnr = metrics.psnr(values, target=truth, peak=1.0)
        record: dict[str, Any] = {
            **_errors(values, truth),
            "psnr_db": psnr,
            "psnr_infinite": bool(np.isposinf(psnr)),
            "accuracy": accuracy(values, target=truth) if target.labels else None,
            **self._regularity(fitted, runner, values),
            **self._beside(fitted, runner),
            "formula": target.formula,
            "source": target.source,
            "irregular_set": target.irregular,
            "convention": CONVENTION,
        }
        output = encode_npz({**_coordinates(places), "fit": values, "target": truth})
        told = f"MSE {record['mse']:.3g}, max error {record['max_error']:.3g}"
        if target.labels:
            told += f", accuracy {100 * record['accuracy']:.1f} %"
        elif record["mse_heldout"] is not None:
            told += f", MSE beside the samples {record['mse_heldout']:.3g}"
        summary = f"{fitted.model_name}, {n_params} parameters: {told}"
        return Evaluation(record, self._view(fitted, runner, values), output, ".npz", summary)

    def picture(self, evaluation: Evaluation, history: list[dict[str, Any]]) -> bytes:
        """Return target, fit, residual, learned curves, spectrum and training curve as PNG."""
        formula = self.target.formula
        shown = formula if len(formula) <= 80 else formula[:79] + "…"
        return draw_function(evaluation.values, title=f"{shown}\n{evaluation.summary}", history=history)

    def _regularity(self, fitted: Fitted, runner: BlockRunner, values: np.ndarray) -> dict[str, Any]:
        """Return seminorm and energies of the residual."""
        target, places = self.target, self.signal.places
        residual = values.astype(np.float64) - self.signal.values[..., 0]
        order = target.order if self.options.zygmund is None else self.options.zygmund
        if isinstance(places, Grid):
            spacing = [2.0 / n for n in places.shape]
            found = zygmund(residual, spacing, order)
            own = zygmund(self.signal.values[..., 0], spacing, order)
        else:
            found, own = self._triples(fitted, runner, order)
        spread: dict[str, Any] = dict.fromkeys(
            ("energy_near", "energy_elsewhere", "energy_near_share", "near_share", "near_distance")
        )
        if target.distance is not None:
            distance = target.distance(rows_of(places))
            spread = {**energies(residual, distance, target.near), "near_distance": target.near}
        return {"zygmund": found, "zygmund_target": own, "zygmund_order": order, **spread}

    def _triples(self, fitted: Fitted, runner: BlockRunner, order: float) -> tuple[float, float]:
        """Return the seminorms of residual and target over random x, x ± h in [-1, 1]^d."""
        d = fitted.n_inputs
        draw = np.random.default_rng((self.options.data_seed, 2))
        direction = draw.standard_normal((TRIPLES, d))
        lengths = np.exp(draw.uniform(math.log(SHORTEST), math.log(LONGEST), TRIPLES))
        h = direction * (lengths / np.linalg.norm(direction, axis=1))[:, None]
        x = draw.uniform(-1, 1, (TRIPLES, d)) * (1 - np.abs(h))
        rows = np.concatenate([x + h, x, x - h])
        truth = self.target.values(rows)
        residual = predict(fitted, Points(rows), runner).numpy()[:, 0] - truth
        found = []
        for part in (residual, truth):
            plus, centre, minus = np.split(part, 3)
            found.append(zygmund_triples(plus, centre, minus, lengths, order))
        return found[0], found[1]

    def _beside(self, fitted: Fitted, runner: BlockRunner) -> dict[str, Any]:
        """Return the errors at places that were not fitted; None where there is no truth."""
        names = ("mse_heldout", "max_error_heldout", "rel_l2_heldout", "zygmund_heldout", "heldout_points")
        target, places = self.target, self.signal.places
        if target.labels:
            return dict.fromkeys(names)
        fine: Places = uniform_points(self.options.heldout, places.ndim, self.options.data_seed + 1)
        is_mesh = isinstance(places, Grid) and places.size * 2**places.ndim <= LARGEST_FINE
        if is_mesh:
            fine = Grid(tuple(2 * n for n in places.shape))
        with np.errstate(all="ignore"):
            truth = target.values(rows_of(fine)).reshape(fine.shape)
        if not np.isfinite(truth).all():  # between the samples: there is nothing to measure against
            return dict.fromkeys(names)
        values = predict(fitted, fine, runner).numpy()[..., 0]
        found: dict[str, Any] = {f"{name}_heldout": v for name, v in _errors(values, truth).items()}
        found["zygmund_heldout"] = None
        if is_mesh:
            order = target.order if self.options.zygmund is None else self.options.zygmund
            found["zygmund_heldout"] = zygmund(values - truth, [2.0 / n for n in fine.shape], order)
        return {**found, "heldout_points": fine.size}

    def _view(self, fitted: Fitted, runner: BlockRunner, values: np.ndarray) -> FunctionView:
        """Collect what the preview shows."""
        places, truth = self.signal.places, self.signal.values[..., 0]
        curves, names, title = learned_curves(fitted.model.cpu(), fitted.n_inputs)
        axes = list(places.axes()) if isinstance(places, Grid) else []
        line = None
        spans = (2.0,) * len(axes)
        shown = truth, values
        told = "spectrum, Hann window"
        if not axes:
            rows = np.zeros((LINE, fitted.n_inputs))
            rows[:, 0] = Grid((LINE,)).axes()[0]
            shown = self.target.values(rows), predict(fitted, Points(rows), runner).numpy()[:, 0]
            line = rows[:, 0], *shown
            spans, told = (2.0,), "spectrum along the first axis, Hann window"
        frequencies, of_target = radial_spectrum(shown[0], spans)
        spectrum = Spectrum(frequencies, of_target, radial_spectrum(shown[1], spans)[1], told)
        return FunctionView(axes, truth, values, line, spectrum, curves, names, title)


def _errors(values: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {
        "mse": metrics.mse(values, target=truth),
        "max_error": metrics.max_error(values, target=truth),
        "rel_l2": metrics.rel_l2(values, target=truth),
    }


def _coordinates(places: Places) -> dict[str, np.ndarray]:
    if isinstance(places, Points):
        return {"points": places.rows}
    return {f"x{k + 1}": axis for k, axis in enumerate(places.axes())}
