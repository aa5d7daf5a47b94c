"""The reference engine against plain loops, and the families against the standard library."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.kernels import reference
from lrnn_cli.kernels.families import FAMILIES
from tests import references
from tests.kernels.support import FAMILY, draw, plant_zeros

LAW = settings(max_examples=60)
ARGUMENTS = [*np.linspace(-7, 7, 141), 0.0, 1e-12, -1e-12, 30.5, -200.25]


@LAW
@given(
    FAMILY,
    *[st.integers(0, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)],
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10**6),
)
def test_equals_plain_loops(family, n, d, n_factors, n_neurons, width, offset, centre, seed):
    inputs = [t.detach() for t in draw(n, d, n_factors, n_neurons, width, seed=seed)]
    constants = {"family": family, "gamma": 0.7, "offset": offset, "centre": centre}
    expected = references.product_layer(*[t.numpy() for t in inputs], **constants)
    found = reference.product_layer(*inputs, **constants).numpy()
    assert found.shape == (n, n_neurons)
    np.testing.assert_allclose(
        found, expected, rtol=1e-12, atol=1e-12 * max(1, np.abs(expected).max(initial=0))
    )


def test_every_family_has_a_second_opinion():
    assert set(FAMILIES) == set(references.FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_values_and_slopes(family):
    u = torch.tensor(ARGUMENTS, dtype=torch.float64, requires_grad=True)
    value, slope = FAMILIES[family].value_and_slope(u.detach())
    again = FAMILIES[family].value(u)
    (automatic,) = torch.autograd.grad(again.sum(), u)
    true_value, true_slope = (np.array([f(x) for x in ARGUMENTS]) for f in references.FAMILIES[family])
    for found, expected in [
        (value, true_value), (again.detach(), true_value), (slope, true_slope), (automatic, true_slope)
    ]:  # fmt: skip
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-13 * max(1, abs(expected).max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_families_keep_precision_and_nan(family):
    for dtype in (torch.float32, torch.float64):
        u = torch.tensor([0.5, math.nan], dtype=dtype)
        for values in (FAMILIES[family].value(u), FAMILIES[family].value_and_slope(u)[0]):
            assert values.dtype == dtype
            assert values.isnan().tolist() == [False, True]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_planted_factor_is_exactly_zero(family):
    inputs = draw(3, 2, 3, 4, 1, seed=0)
    constants = plant_zeros(inputs, family, [(1, 2), (0, 3), (2, 3)])
    phi = reference.product_layer(*inputs, family=family, **constants)
    assert (phi[:, 2:] == 0).all()
    assert (phi[:, :2] != 0).all()


def test_two_derivatives():
    inputs = draw(3, 2, 2, 2, 2, seed=0)
    constants = {"family": "spder", "gamma": 0.7, "offset": 1.0, "centre": 0.3}
    assert torch.autograd.gradgradcheck(lambda *t: reference.product_layer(*t, **constants), inputs)
