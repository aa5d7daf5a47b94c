"""The families of LRNN's component functions that are series, and the ablations, on any engine."""

import itertools

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from scipy.stats import norm

from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.models.components import moments, start
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
    model = make(
        "lrnn", rank=4, dbar=3, depth=1, component_width=5, sigma=sigma, layer_norm=False, omega_first=7.0
    )
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
    np.testing.assert_allclose(
        slope.numpy(), np.nan_to_num(element.derivative()(u.numpy())), rtol=0, atol=1e-14
    )
    assert torch.equal(FAMILIES["bspline"].value(u), value)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("sigma", ["fourier", "sin", "spder", "spder-sqrt", "gauss", "tanh", "relu"])
def test_components_start_with_mean_zero_and_the_variance_asked_for(sigma, width):
    """Lemma 1 asks for it: 40,000 functions at one random argument each, as the layer makes them."""
    torch.manual_seed(0)
    initial = start(sigma, (width, 1, 40_000), spread=2.0, sigma_g=0.7)
    u = 2.0 * torch.randn(40_000) + torch.empty(40_000).uniform_(-np.pi, np.pi)
    family = FAMILIES["sin" if sigma == "fourier" else sigma]
    values = family.value(initial.frequency[:, 0] * u + initial.phase[:, 0]) - initial.centre
    g = (initial.amplitude[:, 0] * values).sum(0)
    assert abs(float(g.mean())) < 5 * 0.7 / np.sqrt(40_000)
    assert abs(float(g.std()) / 0.7 - 1) < 0.03


def test_splines_start_with_the_variance_asked_for_between_their_outer_knots():
    torch.manual_seed(0)
    initial = start("bspline", (8, 1, 40_000), spread=2.0, sigma_g=0.7)
    u = torch.empty(40_000).uniform_(-2.5, 2.5)  # of -3.5 ... 3.5, where fewer than four splines end
    g = (initial.amplitude[:, 0] * FAMILIES["bspline"].value(u + initial.phase[:, 0])).sum(0)
    assert initial.centre == 0
    assert abs(float(g.mean())) < 5 * 0.7 / np.sqrt(40_000)
    assert abs(float(g.std()) / 0.7 - 1) < 0.03


@pytest.mark.parametrize("spread", [0.7, 12.0])
def test_the_moments_are_those_of_a_plain_double_sum(spread):
    """sin(u) arctan(u) with one term, over midpoints of normal quantiles and phases."""
    t = norm.ppf((np.arange(4000) + 0.5) / 4000)
    phase = ((np.arange(500) + 0.5) / 250 - 1) * np.pi
    u = spread * t[:, None] + phase
    values = np.sin(u) * np.arctan(u)
    mean, deviation = moments("spder", spread, 1)
    assert mean == pytest.approx(values.mean(), abs=1e-3)
    assert deviation == pytest.approx(values.std(), rel=1e-3)


ABLATIONS = {
    "shallow": {"depth": 1},
    "shared": {"components": "shared"},
    "no-norm": {"layer_norm": False},
    "plain": {"product": "plain"},
    "one-factor": {"dbar": 1},
    "all": {"depth": 1, "components": "shared", "layer_norm": False, "product": "plain"},
}


@pytest.mark.parametrize(
    "sigma", ["sin", "spder", "spder-sqrt", "gauss", "tanh", "relu", "fourier", "bspline"]
)
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_ablation_is_finite_and_the_same_on_both_engines(ablation, sigma):
    model = make(
        "lrnn", rank=6, component_width=3, sigma=sigma, **{"depth": 3, "dbar": 4, **ABLATIONS[ablation]}
    )
    x = points(20, 2)
    expected = model(x)
    assert torch.isfinite(expected).all()
    model.use_engine("fused")
    torch.testing.assert_close(model(x), expected, rtol=1e-10, atol=1e-12)
    gradients = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
