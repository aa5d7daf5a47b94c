import math

import numpy as np
import pytest

from lrnn_cli.models.catalog import config_class
from lrnn_cli.numerics.coords import axis
from tests.models.support import check, layer, make, points, weights

Config = config_class("relu-pe")


def encoding(x, octaves):
    """Coordinates, then the sines of all octaves, then the cosines; one point after the other."""
    rows = []
    for point in x:
        sines = [math.sin(2**k * math.pi * c) for k in range(octaves) for c in point]
        cosines = [math.cos(2**k * math.pi * c) for k in range(octaves) for c in point]
        rows.append([*point, *sines, *cosines])
    return np.array(rows)


@pytest.mark.parametrize(("n_inputs", "octaves"), [(1, 5), (2, 3), (3, 2)])
def test_it_is_the_formula(n_inputs, octaves):
    model = make("relu-pe", n_inputs=n_inputs, width=7, depth=2, octaves=octaves)
    x, w = points(40, n_inputs), weights(model)
    h = encoding(x.tolist(), octaves)
    np.testing.assert_allclose(model.encode(x).numpy(), h, rtol=0, atol=1e-12)
    for k in range(2):
        h = np.maximum(layer(w, f"layers.{k}", h), 0)
    check(model, x, layer(w, "head", h))


@pytest.mark.parametrize(
    ("shape", "octaves"), [((256, 256), 8), ((100, 300), 8), ((255,), 7), ((44100,), 15), ((1, 1), 1)]
)
def test_the_octaves_reach_the_nyquist_frequency_and_no_further(shape, octaves):
    assert Config().for_signal(shape).octaves == octaves
    highest = 2 ** (octaves - 1) / 2  # periods per unit of length
    nyquist = max(shape) / 4  # two samples per period, n / 2 samples per unit
    assert octaves == 1 or highest <= nyquist < 2 * highest


def test_the_highest_octave_on_a_grid_alternates():
    """At the Nyquist frequency the sine takes turns of 1 and -1 at the cell centres."""
    n = 64
    sine = np.sin(2 ** (Config().for_signal((n,)).octaves - 1) * np.pi * axis(n))
    np.testing.assert_allclose(np.abs(sine), 1, atol=1e-12)
    assert np.all(sine[1:] * sine[:-1] < 0)


def test_given_octaves_are_kept_and_unknown_signals_have_some():
    assert Config(octaves=3).for_signal((512, 512)).octaves == 3
    assert make("relu-pe").octaves == 8
