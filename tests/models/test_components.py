"""The families of LRNN's component functions that are series, and the ablations, on any engine."""

import itertools

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.models.components import start
from lrnn_cli.models.contract import count_parameters
from tests.models.support import make, points, weights


def component(sigma, u, a, w, c):
    """g(u) of one factor: a Fourier series, or a spline of scipy on unit knots."""
    if sigma == "fourier":
        return sum(a[m] * np.sin((m + 1) * u + c[m]) for m in range(len(a)))
    width = len(a)
    knots = np.arange(-4, width + 8) - (width - 1) / 2 - 2  # four more on either side
    coefficients = np.concatenate([np.zeros(4), a, np.zeros(4)])
    return BSpline(knots, coefficients, 3)(np.clip(u, knots[4] - 0.5, knots[-5] + 0.5))


@pytest.mark.parametrize("engine", ["reference", "fused"])
@pytest.mark.parametrize("sigma", ["fourier", "bspline"])
def test_a_layer_is_the_formula(sigma, engine):
    model = make("lrnn", rank=4, dbar=3, depth=1, component_width=5, sigma=sigma, layer_norm=False, omega_first=7.0)
    model.use_engine(engine)
    x, w = points(40, 2), weights(model)
    z = np.einsum("nd,jrd->njr", x.numpy(), w["layers.0.weight"]) + w["layers.0.bias"]
    phi = np.ones((40, 4))
    for j, r in itertools.product(range(3), range(4)):
        parts = (w[f"layers.0.{name}"][:, j, r] for name in ("amplitude", "frequency", "phase"))
        phi[:, r] *= 1 + component(sigma, 7.0 * z[:, j, r], *parts) / np.sqrt(3)
    np.testing.assert_allclose(model.features(x).detach().numpy(), phi, rtol=0, atol=1e-11)


@pytest.mark.parametrize("sigma", ["fourier", "bspline"])
def test_harmonics_and_knots_are_not_learned(sigma):
    model = make("lrnn", rank=4, dbar=3, depth=2, component_width=5, sigma=sigma)
    learned = {"amplitude", "phase"} if sigma == "fourier" else {"amplitude"}
    names = {name.split(".")[-1] for name, _ in model.layers.named_parameters()}
    assert names & {"amplitude", "phase", "frequency"} == learned
    assert "layers.0.frequency" in model.state_dict()
    numbers = [4 * 3 * n + 4 * 3 + len(learned) * 5 * 12 + 2 * 4 for n in (2, 4)]
    assert count_parameters(model) == sum(numbers) + 4 * 3 + 3


@pytest.mark.parametrize("sigma", ["fourier", "bspline"])
def test_the_fused_gradient_is_that_of_automatic_differentiation(sigma):
    gradients = []
    for engine in ("reference", "fused"):
        model = make("lrnn", rank=5, dbar=3, depth=2, component_width=4, sigma=sigma)
        model.use_engine(engine)
        parameters = list(model.parameters())
        gradients.append(torch.autograd.grad(model(points(30, 2)).square().sum(), parameters))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)


def test_the_bspline_family_is_the_cardinal_spline_with_its_slope():
    u = torch.linspace(-3, 3, 601, dtype=torch.float64)
    element = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
    value, slope = FAMILIES["bspline"].value_and_slope(u)
    np.testing.assert_allclose(value.numpy(), np.nan_to_num(element(u.numpy())), rtol=0, atol=1e-14)
    np.testing.assert_allclose(slope.numpy(), np.nan_to_num(element.derivative()(u.numpy())), rtol=0, atol=1e-14)
    assert torch.equal(FAMILIES["bspline"].value(u), value)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("sigma", ["fourier", "bspline", "sin", "gauss"])
def test_components_start_with_mean_zero_and_the_variance_asked_for(sigma, width):
    """Over 20,000 functions and arguments as they come; splines between their outer knots, where they are not 0."""
    torch.manual_seed(0)
    initial = start(sigma, (width, 1, 20_000), spread=1.0, sigma_g=0.7)
    u = torch.randn(20_000) + torch.empty(20_000).uniform_(-np.pi, np.pi)
    if sigma == "bspline":
        u = torch.empty(20_000).uniform_(-(width - 1) / 2 + 1, (width - 1) / 2 - 1) if width > 1 else u
    if width == 1 and sigma == "bspline":
        return  # one spline has no inside
    family = FAMILIES["sin" if sigma == "fourier" else sigma]
    values = family.value(initial.frequency[:, 0] * u + initial.phase[:, 0]) - initial.centre
    g = (initial.amplitude[:, 0] * values).sum(0)
    assert abs(float(g.mean())) < 0.04
    assert abs(float(g.std()) / 0.7 - 1) < 0.1


ABLATIONS = {
    "shallow": {"depth": 1},
    "shared": {"components": "shared"},
    "no-norm": {"layer_norm": False},
    "plain": {"product": "plain"},
    "one-factor": {"dbar": 1},
    "all": {"depth": 1, "components": "shared", "layer_norm": False, "product": "plain"},
}


@pytest.mark.parametrize("sigma", ["sin", "spder", "spder-sqrt", "gauss", "tanh", "relu", "fourier", "bspline"])
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_ablation_is_finite_and_the_same_on_both_engines(ablation, sigma):
    model = make("lrnn", rank=6, component_width=3, sigma=sigma, **{"depth": 3, "dbar": 4, **ABLATIONS[ablation]})
    x = points(20, 2)
    expected = model(x)
    assert torch.isfinite(expected).all()
    model.use_engine("fused")
    torch.testing.assert_close(model(x), expected, rtol=1e-10, atol=1e-12)
    gradients = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
