import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.models.contract import count_parameters
from tests.models.support import check, is_uniform, layer, make, points, weights


def tensors(u, c):
    """Coefficient tensors (outputs, d, ..., d) of degrees 1 ... N of one polynomial, entry by entry.

    Degree m is the sum of C_r u_1r (x) u_{k_2}r (x) ... (x) u_{k_m}r over 1 < k_2 < ... < k_m and neurons r.
    """
    degree, width, d = u.shape
    result = []
    for m in range(1, degree + 1):
        tensor = np.zeros((len(c), *[d] * m))
        for chosen in itertools.combinations(range(1, degree), m - 1):
            for r in range(width):
                outer = u[0, r]
                for k in chosen:
                    outer = np.multiply.outer(outer, u[k, r])
                tensor += np.multiply.outer(c[:, r], outer)
        result.append(tensor)
    return result


def contract(tensor, x):
    """A tensor with the same vector in each place but the first."""
    for _ in range(tensor.ndim - 1):
        tensor = tensor @ x
    return tensor


@pytest.mark.parametrize(("d", "degree"), [(1, 5), (2, 4), (3, 3), (2, 1)])
def test_it_is_the_tensor_contraction(d, degree):
    model = make("polynomial", n_inputs=d, width=3, degree=degree, depth=1)
    x, w = points(20, d), weights(model)
    parts = tensors(w["polynomials.0.weight"], w["head.weight"])
    expected = np.stack([sum(contract(t, row) for t in parts) for row in x.numpy()]) + w["head.bias"]
    check(model, x, expected)


def test_a_polynomial_of_a_polynomial_is_the_recursion():
    model = make("polynomial", width=5, degree=3, depth=2)
    x, w = points(30, 2), weights(model)

    def polynomial(u, h):
        value = h @ u[0].T
        for row in u[1:]:
            value = (h @ row.T) * value + value
        return value

    h = polynomial(w["polynomials.0.weight"], x.numpy()) + w["polynomials.0.bias"]
    centred = h - h.mean(1, keepdims=True)
    h = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    check(model, x, layer(w, "head", polynomial(w["polynomials.2.weight"], h)))


@settings(max_examples=15, deadline=None)
@given(degree=st.integers(1, 4), depth=st.integers(1, 2), seed=st.integers(0, 100))
def test_along_a_line_it_is_a_polynomial_of_the_degree(degree, depth, seed):
    """N^depth, and no less: fitted exactly by that degree, not by one less."""
    model = make("polynomial", seed=seed, width=4, degree=degree, depth=depth, layer_norm=False, n_outputs=1)
    total = degree**depth
    t = np.cos(np.pi * np.arange(2 * total + 3) / (2 * total + 2))
    line = torch.from_numpy(np.stack([0.1 + 0.8 * t, 0.2 - 0.5 * t], 1))
    y = model(line).detach().numpy()[:, 0]
    spectrum = np.abs(np.polynomial.chebyshev.chebfit(t, y, 2 * total + 2))
    assert spectrum[total + 1 :].max() < 1e-12 * spectrum.max()
    assert spectrum[total] > 0


def test_the_initial_weights():
    w = weights(make("polynomial", width=2000, degree=4, depth=1))["polynomials.0.weight"]
    assert is_uniform(w[0], 3 / np.sqrt(2))
    assert is_uniform(w[1:], 3 / np.sqrt(2) / 2)
    model = make("polynomial", width=200, degree=4, depth=2)
    assert is_uniform(weights(model)["polynomials.2.weight"][0], np.sqrt(3 / 200))


@pytest.mark.parametrize("degree", [2, 16, 64])
def test_the_mean_square_stays_bounded_for_every_degree(degree):
    model = make("polynomial", width=1000, degree=degree, depth=1, n_inputs=8)
    square = model.features(points(200, 8)).detach().square().mean()
    assert 0.8 < float(square) < 5.0


def test_behind_a_norm_it_is_smooth_at_the_origin():
    """Without the constant, values around x = 0 would depend on the direction alone."""
    model = make("polynomial", width=20, depth=3)
    angle = torch.linspace(0, 2 * np.pi, 9, dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    spread = [(model(r * ring) - model(0 * ring)).abs().max().item() for r in (1e-3, 1e-4)]
    assert spread[1] < 0.15 * spread[0] < 0.15 * 0.1


def test_the_number_of_parameters():
    model = make("polynomial", width=7, degree=4, depth=2, n_inputs=2, n_outputs=3)
    assert count_parameters(model) == 4 * 7 * 2 + 7 + 2 * 7 + 4 * 7 * 7 + 3 * 7 + 3
