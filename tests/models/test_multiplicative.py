import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.models.multiplicative import bump, directions
from tests.models.support import check, make, points, weights


def sigma(t, factor):
    if factor == "sigmoid":
        return 1 / (1 + math.exp(-t))
    return math.exp(-(t**2) / (1 - t**2)) if abs(t) < 1 else 0.0


@pytest.mark.parametrize("factors", [None, 1, 5])
@pytest.mark.parametrize("factor", ["bump", "sigmoid"])
def test_it_is_the_sum_of_products(factor, factors):
    model = make("multiplicative", width=12, factor=factor, factors=factors)
    x, w = points(40, 2), weights(model)
    n_factors = factors or {"bump": 2, "sigmoid": 4}[factor]
    assert w["weight"].shape == (n_factors, 12, 2)
    units = np.ones((40, 12))
    for n, place in enumerate(x.numpy()):
        for i in range(12):
            for j in range(n_factors):
                units[n, i] *= sigma(float(w["weight"][j, i] @ place + w["bias"][j, i]), factor)
    check(model, x, units @ w["head.weight"].T + w["head.bias"], tolerance=1e-11)


def test_the_bump_is_smooth_and_has_bounded_support():
    t = torch.linspace(-1.5, 1.5, 3001, dtype=torch.float64, requires_grad=True)
    values = bump(t)
    assert not values[t.detach().abs() >= 1].any()
    assert float(bump(torch.zeros(1))) == 1.0
    (slope,) = torch.autograd.grad(values.sum(), t, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), t)
    assert curvature.isfinite().all()
    near = t.detach().abs() > 0.995
    assert float(curvature[near].abs().max()) < 1e-9
    assert torch.autograd.gradgradcheck(bump, (torch.linspace(-1.2, 1.2, 20).double().requires_grad_(),))


def test_the_bump_in_single_precision_has_finite_derivatives_at_its_edge():
    t = torch.cat([1 - torch.logspace(-7, 0, 200), torch.tensor([1.0, 1.1, -1.0, 1e20])]).requires_grad_()
    (slope,) = torch.autograd.grad(bump(t).sum(), t, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), t)
    assert slope.isfinite().all()
    assert curvature.isfinite().all()


@settings(max_examples=8, deadline=None)
@given(d=st.integers(1, 4), seed=st.integers(0, 1000))
def test_the_support_of_a_unit_is_bounded(d, seed):
    """With d bumps: 0 outside the ball of radius sqrt(d) w about its centre, whatever the direction."""
    model = make("multiplicative", n_inputs=d, seed=seed, width=10)
    a, b = (v.detach() for v in (model.weight, model.bias))  # (d, units, d), (d, units)
    centre = torch.linalg.solve(a.transpose(0, 1), -b.T)  # a_j m + b_j = 0
    radius = math.sqrt(d) / torch.linalg.svdvals(a.transpose(0, 1)).amin(1)
    rays = torch.from_numpy(np.random.default_rng(seed).normal(size=(50, d)))
    rays = rays / rays.norm(dim=1, keepdim=True)
    for i in range(10):
        for far in (1.001, 2.0, 100.0):
            assert not model.features(centre[i] + far * radius[i] * rays)[:, i].any()
        assert model.features(centre[i : i + 1])[0, i].item() == pytest.approx(1.0)


def test_changing_one_unit_changes_nothing_outside_its_support():
    model, x = make("multiplicative", width=200), points(2000, 2)
    before, touched = model(x), model.features(x)[:, 7] > 0
    with torch.no_grad():
        model.head.weight[:, 7] += 1.0
    changed = ((model(x) - before).abs() > 1e-12).any(1)
    assert 0 < int(touched.sum()) < 600
    assert not changed[~touched].any()


def test_units_of_sigmoids_decay_in_every_direction():
    model = make("multiplicative", width=100, factor="sigmoid")
    angle = torch.linspace(0, 2 * math.pi, 40, dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    near, far = (model.features(ring * radius).max().item() for radius in (4.0, 8.0))
    assert 0 < far < 1e-3 * near < 1e-5


def test_directions_are_orthonormal_d_at_a_time():
    torch.manual_seed(0)
    e = directions(900, 5, 3)
    assert e.shape == (5, 900, 3)
    gram = torch.einsum("jud,kud->ujk", e[:3], e[:3])
    torch.testing.assert_close(gram, torch.eye(3).expand(900, 3, 3), rtol=0, atol=1e-5)
    assert float((e[3] * e[4]).sum(1).abs().max()) < 1e-5
    assert float(e[:, :, 0].mean(1).abs().max()) < 0.4  # -2/3 + 1 along the own axis, 0 along others


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_initial_units_cover_a_point_as_often_as_asked(d):
    """r cubes of half width w, volume (2 w)^d, in a cube of volume 2^d; the factor is E 2^(d U(-1, 1))."""
    model = make("multiplicative", n_inputs=d, width=4000, overlap=6.0)
    inside = model.features(points(300, d) * 0.5) > 0  # well inside, where none is cut off by the border
    expected = 6.0 * (2.0**d - 2.0**-d) / (2 * d * math.log(2))
    assert float(inside.double().sum(1).mean()) == pytest.approx(expected, rel=0.15)


def test_sigmoids_start_at_one_half_in_the_centre():
    model = make("multiplicative", width=50, factor="sigmoid")
    a, b = model.weight.detach(), model.bias.detach()
    shift = math.log(2**-0.25 / (1 - 2**-0.25))
    centre = torch.linalg.solve(a[[0, 2]].transpose(0, 1), (shift - b[[0, 2]]).T)
    torch.testing.assert_close(
        model.features(centre).diagonal(), torch.full((50,), 0.5, dtype=torch.float64), rtol=0, atol=1e-5
    )


def test_a_single_sigmoid_has_a_slope():
    model, x = make("multiplicative", width=30, factor="sigmoid", factors=1), points(100, 2)
    assert model.features(x).std(0).min().item() > 1e-3


def test_many_vanishing_factors_have_finite_derivatives():
    """Products, never quotients: a factor of 0, or 64 that underflow together, give 0 and no NaN."""
    for factor in ("bump", "sigmoid"):
        model = make("multiplicative", width=20, factor=factor, factors=64).float()
        x = (points(50, 2) * 30).float().requires_grad_()
        y = model(x).sum()
        (gradient,) = torch.autograd.grad(y, x, create_graph=True)
        gradient.square().sum().backward()
        for t in (y, gradient, *[p.grad for p in model.parameters() if p.grad is not None]):
            assert t.isfinite().all()
