import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from lrnn_cli.numerics.bsplines import bspline_basis, bspline_energy


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_it_equals_scipy_on_uneven_knots_inside_and_outside(order):
    rng = np.random.default_rng(order)
    knots = np.cumsum(rng.uniform(0.1, 1.0, (2, 9 + order)), axis=1)
    x = rng.uniform(knots.min() - 1, knots.max() + 1, (300, 2))
    values = bspline_basis(torch.from_numpy(x), torch.from_numpy(knots), order).numpy()
    assert values.shape == (300, 2, 8)
    for k in range(2):
        for i in range(8):
            element = BSpline.basis_element(knots[k, i : i + order + 2], extrapolate=False)
            expected = np.nan_to_num(element(x[:, k]))
            np.testing.assert_allclose(values[:, k, i], expected, rtol=0, atol=1e-12)


def test_the_derivatives_equal_those_of_scipy():
    rng = np.random.default_rng(0)
    knots = np.cumsum(rng.uniform(0.1, 1.0, (1, 12)), axis=1)
    x = torch.from_numpy(rng.uniform(knots[0, 3], knots[0, -4], (100, 1))).requires_grad_()
    weights = rng.normal(size=8)
    spline = BSpline(knots[0], weights, 3)
    y = bspline_basis(x, torch.from_numpy(knots), 3)[:, 0] @ torch.from_numpy(weights)
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    at = x.detach().numpy()[:, 0]
    np.testing.assert_allclose(first.detach().numpy()[:, 0], spline.derivative(1)(at), rtol=0, atol=1e-10)
    np.testing.assert_allclose(second.numpy()[:, 0], spline.derivative(2)(at), rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_the_energy_is_the_integral_of_the_square(order):
    t = np.linspace(0, order + 1, 20_001)
    element = np.nan_to_num(BSpline.basis_element(np.arange(order + 2), extrapolate=False)(t))
    assert bspline_energy(order) == pytest.approx(np.trapezoid(element**2, t), rel=1e-4)
    assert bspline_energy(3) == pytest.approx(151 / 315, rel=1e-15)
