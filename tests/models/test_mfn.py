import itertools

import numpy as np
import pytest

from lrnn_cli.models.catalog import config_class
from tests.models.support import check, is_uniform, layer, make, points, weights

Config = config_class("mfn")


def filter_value(w, k, x, kind):
    """One filter, neuron by neuron."""
    columns = []
    for i, omega in enumerate(w[f"filters.{k}.omega"]):
        wave = np.sin(x @ omega + w[f"filters.{k}.phase"][i])
        if kind == "gabor":
            distance = ((x - w[f"filters.{k}.centre"][i]) ** 2).sum(1)
            wave = wave * np.exp(-0.5 * w[f"filters.{k}.gamma"][i] * distance)
        columns.append(wave)
    return np.stack(columns, 1)


@pytest.mark.parametrize("kind", ["fourier", "gabor"])
def test_it_is_the_formula(kind):
    model = make("mfn", width=7, depth=3, filter=kind, scale=10.0)
    x, w = points(50, 2), weights(model)
    h = filter_value(w, 0, x.numpy(), kind)
    for k in (1, 2):
        h = layer(w, f"layers.{k - 1}", h) * filter_value(w, k, x.numpy(), kind)
    check(model, x, layer(w, "head", h))


def test_it_is_a_sum_of_sines_with_sum_and_difference_frequencies():
    """Project two layers of one neuron onto the frequencies that the paper predicts; nothing is left."""
    model = make("mfn", n_inputs=1, n_outputs=1, width=1, depth=2, scale=20.0)
    w = weights(model)
    a, b = (float(w[f"filters.{k}.omega"][0, 0]) for k in (0, 1))
    x = np.linspace(-1, 1, 400)
    basis = np.stack(
        [f(q * x) for q, f in itertools.product((a + b, a - b, b), (np.sin, np.cos))] + [x**0], 1
    )
    y = model(points(1, 1).new_tensor(x[:, None])).detach().numpy()
    rest = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    assert np.abs(rest).max() < 1e-10 * np.abs(y).max()


def test_the_initial_filters_are_as_documented():
    w = weights(make("mfn", width=1500, depth=2, scale=256.0, n_inputs=2))
    assert is_uniform(w["filters.0.omega"], 256 / np.sqrt(2 * 2))
    assert is_uniform(w["filters.1.phase"], np.pi)
    assert is_uniform(w["layers.0.weight"], 1 / np.sqrt(1500))
    w = weights(make("mfn", width=3000, depth=2, filter="gabor"))
    gamma = w["filters.1.gamma"]
    assert gamma.min() > 0
    assert abs(gamma.mean() / 3 - 1) < 0.06  # Gamma(6 / 2): mean and variance 3
    assert abs(gamma.var() / 3 - 1) < 0.15
    assert is_uniform(w["filters.1.centre"], 1.0)
    assert is_uniform(w["filters.1.omega"] / np.sqrt(gamma)[:, None], 256 / np.sqrt(4))


def test_the_scale_follows_the_signal_unless_given():
    assert Config().for_signal((256, 200)).scale == 256.0
    assert Config(scale=7.0).for_signal((256, 200)).scale == 7.0
