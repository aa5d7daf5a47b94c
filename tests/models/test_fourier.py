import numpy as np
import torch

from lrnn_cli.models.catalog import config_class
from lrnn_cli.models.contract import count_parameters
from tests.models.support import check, layer, make, points, weights

Config = config_class("fourier")


def test_it_is_the_formula():
    model = make("fourier", width=7, depth=2, frequencies=5, scale=2.0)
    x, w = points(40, 2), weights(model)
    angles = 2 * np.pi * x.numpy() @ w["matrix"].T
    h = np.concatenate([np.cos(angles), np.sin(angles)], 1)
    for k in range(2):
        h = np.maximum(layer(w, f"layers.{k}", h), 0)
    check(model, x, layer(w, "head", h))


def test_the_kernel_of_the_features_is_gaussian():
    """Mean of m products against exp(-2 pi^2 scale^2 |x - y|^2), within 5 standard errors, 1 / sqrt(2 m)."""
    scale, m = 1.5, 200_000
    model = make("fourier", width=1, frequencies=m, scale=scale)
    x = torch.cat([torch.zeros(1, 2), 0.3 * points(12, 2)]).double()
    features = model.encode(x).numpy()
    kernel = features @ features.T / m
    distance = ((x.numpy()[:, None] - x.numpy()[None]) ** 2).sum(-1)
    expected = np.exp(-2 * np.pi**2 * scale**2 * distance)
    assert np.abs(kernel - expected).max() < 5 / np.sqrt(2 * m)
    assert expected.min() < 0.1  # the test spans the range of the kernel


def test_the_frequencies_are_stored_but_not_learned():
    model = make("fourier", width=6, depth=1, frequencies=4)
    assert "matrix" in model.state_dict()
    assert "matrix" not in dict(model.named_parameters())
    assert count_parameters(model) == (8 * 6 + 6) + (6 * 3 + 3)


def test_frequencies_and_scale_follow_width_and_signal_unless_given():
    assert make("fourier", width=11).matrix.shape == (11, 2)
    assert Config().for_signal((128, 256)).scale == 5.0  # the authors' 10 periods on [0, 1]
    assert Config().for_signal((44100,)).scale == 5.0 * 44100 / 256
    assert Config(scale=3.0).for_signal((512, 512)).scale == 3.0
    assert abs(float(make("fourier", frequencies=20_000, width=1).matrix.std()) / 5.0 - 1) < 0.02
