"""What a function decides about its fit: the first frequencies of networks that have such an option.

A first layer of sines on [-1, 1]^d has W ~ U(-1, 1) / d and z = omega W x. With omega far above what the
function holds, a network meets all samples and swings freely between them.
"""

from __future__ import annotations

import math

import numpy as np

from lrnn_cli.models.catalog import config_class
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.points import Places
from lrnn_cli.numerics.spectrum import mean_frequency
from lrnn_cli.objectives.function_targets import Target
from lrnn_cli.tasks.regression import ModelChoice

LOWEST = 3.0  # radians per half span, for constants and other slow functions
PRODUCT_MODELS = ("lrnn",)  # products of factors make sums and differences of their frequencies
LINES = 32  # parallel to axes, along which a function without a mesh is looked at
LINE_POINTS = 256


def base_frequency(target: Target, places: Places, values: np.ndarray, *, products: bool) -> float:
    """Return omega for the first layer: 2π times the mean frequency, twice that without products.

    The mean is that of |ξ| in cycles per unit over the power spectrum on the mesh; where there is none, over
    those along lines parallel to random axes through random points.

    Args:
        target: the function.
        places: where it was sampled.
        values: there, (n_1, …, n_d) or (n,).
        products: whether the model multiplies its first-layer functions.
    """
    if isinstance(places, Grid):
        cycles = mean_frequency(values, (2.0,) * places.ndim)
    else:
        draw = np.random.default_rng(0)
        rows = np.repeat(draw.uniform(-1, 1, (LINES, places.ndim)), LINE_POINTS, axis=0)
        moving = np.repeat(draw.integers(0, places.ndim, LINES), LINE_POINTS)
        rows[np.arange(len(rows)), moving] = np.tile(Grid((LINE_POINTS,)).axes()[0], LINES)
        with np.errstate(all="ignore"):
            lines = target.values(rows).reshape(LINES, LINE_POINTS)
        known = lines[np.isfinite(lines).all(1)]
        cycles = float(np.mean([mean_frequency(line, (2.0,)) for line in known])) if len(known) else 0.0
    return max(LOWEST, 2 * math.pi * cycles * (1 if products else 2))


def with_frequencies(choice: ModelChoice, target: Target, places: Places, values: np.ndarray) -> ModelChoice:
    """Return the choice with the model's `omega_first` filled in, where it has one and none was given."""
    if "omega_first" not in config_class(choice.name).model_fields or "omega_first" in choice.options:
        return choice
    omega = base_frequency(target, places, values, products=choice.name in PRODUCT_MODELS)
    return choice.model_copy(update={"options": {"omega_first": float(f"{omega:.4g}"), **choice.options}})
