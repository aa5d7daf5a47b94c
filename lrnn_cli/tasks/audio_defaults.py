"""Which frequencies a network starts with to fit a sound: a rule that reads them off the spectrum.

Time t runs over [-1, 1], so that a tone of f Hz in a sound of T seconds has the angular frequency π f T. The
first layer of a network of sines has W ~ U(-1, 1) and z = omega W t: frequencies spread evenly from 0 to
omega.
"""

from __future__ import annotations

import math

import numpy as np

from lrnn_cli.models.catalog import config_class
from lrnn_cli.numerics.audio_metrics import centroid, energy_quantile, power_spectrum
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.regression import ModelChoice

LOWEST = 30.0  # angular frequency for silence, constants and the shortest clips
PRODUCT_MODELS = ("lrnn",)  # products of factors make sums and differences of their frequencies


def base_frequency(signal: Signal, *, products: bool) -> float:
    """Return the first layer's omega in radians per half span.

    It is π T times the spectral centroid for networks of products and times the 99 % energy point for others.

    Args:
        signal: a sound.
        products: whether the model multiplies its first-layer functions.
    """
    rate_hz = float(signal.format["sample_rate"])
    frequencies, power = power_spectrum(signal.values, rate_hz)
    hertz = centroid(frequencies, power) if products else energy_quantile(frequencies, power, 0.99)
    return max(LOWEST, math.pi * hertz * signal.shape[0] / rate_hz)


def choose_frequencies(choice: ModelChoice, signal: Signal) -> ModelChoice:
    """Return the choice with the model's frequency option filled in unless it was given.

    That is `omega_first`, or for `fourier` the `scale`, in periods per unit of t.
    """
    fields = config_class(choice.name).model_fields
    omega = base_frequency(signal, products=choice.name in PRODUCT_MODELS)
    found = {"omega_first": omega, "scale": omega / (2 * np.pi)}
    key = next((key for key in found if key in fields and (key != "scale" or choice.name == "fourier")), None)
    if key is None or key in choice.options:
        return choice
    return choice.model_copy(update={"options": {**choice.options, key: float(f"{found[key]:.6g}")}})
