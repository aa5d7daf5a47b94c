import numpy as np
import pytest
import torch

from lrnn_cli.models.spder import damped_sine
from tests.models.support import check, is_uniform, layer, make, points, weights

DAMPING = {"sqrt": lambda u: np.sin(u) * np.sqrt(np.abs(u)), "arctan": lambda u: np.sin(u) * np.arctan(u)}


@pytest.mark.parametrize("damping", DAMPING)
def test_it_is_the_formula(damping):
    model = make("spder", width=7, depth=3, omega_first=20.0, omega_hidden=10.0, damping=damping)
    x, w, h = points(50, 2), weights(model), points(50, 2).numpy()
    for k, omega in enumerate([20.0, 10.0, 10.0]):
        h = DAMPING[damping](omega * layer(w, f"layers.{k}", h))
    check(model, x, layer(w, "head", h))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("damping", DAMPING)
def test_the_derivative_is_finite_and_right_at_and_near_zero(damping, dtype):
    sizes = [0.0, 1e-45, 1e-38, 1e-30, 1e-20, 1e-10, 1e-5, 0.1, 3.0]
    u = torch.tensor([s * size for size in sizes for s in (1, -1)], dtype=dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(damped_sine(u, damping).sum(), u)
    x = u.detach().double().numpy()
    root = np.sqrt(np.abs(x))
    half = np.divide(np.sin(np.abs(x)), 2 * root, out=np.zeros_like(x), where=root > 0)
    expected = {
        "sqrt": np.cos(x) * root + half,
        "arctan": np.cos(x) * np.arctan(x) + np.sin(x) / (1 + x**2),
    }[damping]
    assert torch.isfinite(slope).all()
    np.testing.assert_allclose(slope.double().numpy(), expected, rtol=1e-6, atol=2e-15)


def test_sounds_have_the_arctangent_and_images_the_root_unless_told_otherwise():
    assert make("spder", n_inputs=1).damping == "arctan"
    assert make("spder", n_inputs=2).damping == "sqrt"
    assert make("spder", n_inputs=1, damping="sqrt").damping == "sqrt"


def test_the_initial_weights_are_those_of_siren():
    w, siren = (weights(make(name, width=150, depth=2)) for name in ("spder", "siren"))
    assert all(np.array_equal(w[name], siren[name]) for name in siren)
    assert is_uniform(w["layers.1.weight"], np.sqrt(6 / 150) / 30)
