import numpy as np
import torch

from tests.models.support import check, is_uniform, layer, make, points, weights


def test_it_is_the_formula():
    model = make("finer", width=7, depth=3, omega_first=20.0, omega_hidden=10.0)
    x, w, h = points(50, 2), weights(model), points(50, 2).numpy()
    for k, omega in enumerate([20.0, 10.0, 10.0]):
        z = layer(w, f"layers.{k}", h)
        h = np.sin(omega * (np.abs(z) + 1) * z)
    check(model, x, layer(w, "head", h))


def test_the_first_biases_are_wide_and_the_rest_is_siren():
    w, siren = (weights(make(name, width=400, depth=2)) for name in ("finer", "siren"))
    assert all(np.array_equal(w[name], siren[name]) for name in siren if name != "layers.0.bias")
    assert is_uniform(weights(make("finer", width=400, first_bias=5.0))["layers.0.bias"], 5.0, tolerance=0.1)


def test_the_gradient_is_that_of_the_formula():
    model = make("finer", width=4, depth=2, omega_first=3.0, omega_hidden=2.0)
    x = points(6, 2).requires_grad_()
    assert torch.autograd.gradcheck(model, (x,))
