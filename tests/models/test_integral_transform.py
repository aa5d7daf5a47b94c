"""The integral transform against numerical integration, and the laws of the source."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.models.integral_transform import (
    Spec,
    active_interval,
    decoupled,
    exact,
    midpoint,
)
from lrnn_cli.numerics.line_bases import BASES, breakpoints, evaluate, gain

LINEAR = ("rect", "pwl", "pwl-w", "rect-w")
PIECEWISE = (*LINEAR, "pwq")
EVERY = pytest.mark.parametrize("inputs", BASES)


def states(n, d, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


def integral(z, spec, on=None):
    """c int q(s) 1[on . p(s) > 0] z . p(s) ds by Gauss's rule between all breakpoints and roots, slowly."""
    node, weight = np.polynomial.legendre.leggauss(12)
    c, result = gain(spec.inputs, spec.outputs, spec.size), np.zeros(z.shape)
    on, size = (z, spec.size) if on is None else (on, on.shape[1])
    cuts = [
        breakpoints(spec.inputs, spec.size),
        breakpoints(spec.outputs, spec.size),
        breakpoints(spec.inputs, size),
    ]
    cells = np.unique(np.concatenate([*cuts, np.linspace(-1, 1, 60)]).round(12))
    for row, (state, gate) in enumerate(zip(z, on, strict=True)):
        for a, b in pairwise(cells):

            def height(s, gate=gate, middle=(a + b) / 2):
                return float(gate @ evaluate(spec.inputs, size, np.array([s]), np.array([middle]))[:, 0])

            low, high = a, b
            if height(a) * height(b) < 0:  # at most one root here; bisection
                for _ in range(60):
                    m = (low + high) / 2
                    low, high = (m, high) if (height(m) > 0) == (height(a) > 0) else (low, m)
            for start, stop in ((a, low), (low, b)):
                if stop > start and height((start + stop) / 2) > 0:
                    s = (start + stop) / 2 + (stop - start) / 2 * node
                    inside = np.full_like(s, (start + stop) / 2)
                    values = weight * (state @ evaluate(spec.inputs, spec.size, s, inside))
                    q = evaluate(spec.outputs, spec.size, s, inside)
                    result[row] += c * (stop - start) / 2 * (q @ values)
    return result


@pytest.mark.parametrize("outputs", PIECEWISE)
@pytest.mark.parametrize("inputs", LINEAR)
def test_roots_give_the_integral(inputs, outputs):
    spec, z = Spec(inputs, outputs, 5, 1), states(6, 5)
    np.testing.assert_allclose(exact(z, spec).numpy(), integral(z.numpy(), spec), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("inputs", "outputs"), [("fourier", "pwq"), ("pwq", "rect"), ("pwl", "fourier")])
def test_curves_are_replaced_to_second_order(inputs, outputs):
    z = states(4, 4)
    expected = integral(z.numpy(), Spec(inputs, outputs, 4, 1))
    error = [np.abs(exact(z, Spec(inputs, outputs, 4, m)).numpy() - expected).max() for m in (40, 160, 640)]
    assert error[2] < 1e-4
    assert error[0] / error[1] > 10  # 16 is second order
    assert error[1] / error[2] > 10


@pytest.mark.parametrize("size", [1, 4, 37])
def test_rect_with_rect_is_relu(size):
    z = states(50, size)
    for values in (
        exact(z, Spec("rect", "rect", size, 1)),
        midpoint(z, Spec("rect", "rect", size, size)),
        midpoint(z, Spec("rect", "rect", size, 3 * size)),
    ):
        torch.testing.assert_close(values, torch.relu(z), rtol=0, atol=1e-12)


def test_the_midpoint_rule_is_the_formula():
    """û = 2 c Q relu(P^T z) / M, point by point."""
    z, m = states(1, 3)[0].numpy(), 7
    total = np.zeros(3)
    for k in range(m):
        s = np.array([-1 + (k + 0.5) * 2 / m])
        total += evaluate("pwq", 3, s)[:, 0] * max(0.0, float(z @ evaluate("fourier", 3, s)[:, 0]))
    expected = gain("fourier", "pwq", 3) * 2 / m * total
    values = midpoint(torch.from_numpy(z)[None], Spec("fourier", "pwq", 3, m))[0]
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-13)


@pytest.mark.parametrize(
    ("inputs", "outputs", "order"),
    [("pwl", "pwq", 2), ("pwl-w", "pwl", 2), ("pwl", "rect", 1), ("rect-w", "pwl", 1)],
)
def test_the_midpoint_rule_converges(inputs, outputs, order):
    """Second order for continuous integrands with kinks, first where they jump; meshes that fit no cell."""
    z = states(200, 5)
    reference = exact(z, Spec(inputs, outputs, 5, 1))
    meshes = np.array([53, 101, 211, 401, 809, 1601])
    errors = [
        float((midpoint(z, Spec(inputs, outputs, 5, int(m))) - reference).square().mean().sqrt())
        for m in meshes
    ]
    slope = np.polyfit(np.log(meshes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-order, abs=0.25)


@EVERY
@settings(max_examples=15, deadline=None)
@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_it_is_homogeneous(inputs, factor, seed):
    """I(a z) = a I(z); p and q enter linearly with z and the result, so that it holds for them, too."""
    z = states(3, 4, seed)
    for rule in (midpoint, exact):
        spec = Spec(inputs, "pwl", 4, 20)
        torch.testing.assert_close(
            rule(factor * z, spec), factor * rule(z, spec), rtol=1e-9, atol=1e-12 * factor
        )


@pytest.mark.parametrize(("a1", "a2", "a3"), [(2.0, 3.0, 0.5), (0.1, 7.0, 4.0)])
def test_scaling_bases_and_state(a1, a2, a3):
    """Equation (23): I with a1 p, a2 q at a3 z is a1 a2 a3 I, on the midpoint sums themselves."""
    s, z = np.linspace(-0.99, 0.99, 41), states(5, 4).numpy()
    p, q = evaluate("fourier", 4, s), evaluate("pwl", 4, s)
    scaled = np.maximum(0, a3 * z @ (a1 * p)) @ (a2 * q).T
    np.testing.assert_allclose(scaled, a1 * a2 * a3 * np.maximum(0, z @ p) @ q.T, rtol=1e-12)


@EVERY
def test_the_gradient_is_the_activation_matrix(inputs):
    """Equations (17), (21): dI/dz = S(D(z)), of which I(z) = S(D(z)) z; S by the decoupled transform."""
    z = states(1, 4)
    for rule in (midpoint, exact):
        spec = Spec(inputs, "pwq", 4, 24)
        jacobian = torch.autograd.functional.jacobian(lambda z, spec=spec, rule=rule: rule(z, spec)[0], z)[
            :, 0
        ]
        torch.testing.assert_close(jacobian @ z[0], rule(z, spec)[0], rtol=0, atol=1e-12)
    spec = spec._replace(pattern_size=4)
    columns = [decoupled(row[None], z, spec)[0] for row in torch.eye(4, dtype=z.dtype)]
    torch.testing.assert_close(jacobian, torch.stack(columns, 1), rtol=0, atol=1e-11)


@pytest.mark.parametrize("inputs", ["pwl", "pwl-w", "fourier"])
def test_second_derivatives_exist_by_roots_only(inputs):
    z = states(3, 4)
    spec = Spec(inputs, "pwq", 4, 24)
    assert torch.autograd.gradgradcheck(lambda z: exact(z, spec), (z.clone().requires_grad_(),), atol=1e-5)
    for rule, bends in ((midpoint, False), (exact, True)):
        hessian = torch.autograd.functional.hessian(lambda z, rule=rule: rule(z[None], spec).sum(), z[0])
        assert bool((hessian.abs() > 1e-3).any()) is bends


@pytest.mark.parametrize("outputs", ["rect", "pwl"])
@pytest.mark.parametrize("inputs", ["pwl", "pwl-w"])
def test_the_decoupled_transform_integrates_where_another_state_is_positive(inputs, outputs):
    z, zeta = states(5, 4), states(5, 3, seed=9)
    spec = Spec(inputs, outputs, 4, 1, pattern_size=3)
    expected = integral(z.numpy(), spec, zeta.numpy())
    np.testing.assert_allclose(decoupled(z, zeta, spec).numpy(), expected, atol=1e-10)


@EVERY
def test_with_its_own_pattern_it_is_not_decoupled(inputs):
    z, spec = states(20, 5), Spec(inputs, "pwq", 5, 30)
    torch.testing.assert_close(
        decoupled(z, z, spec._replace(pattern_size=5)), exact(z, spec), rtol=0, atol=1e-12
    )


def test_active_intervals():
    left = torch.tensor([1.0, -1.0, 1.0, -1.0, 3.0, 0.0, 0.0])
    right = torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0, 0.0, 2.0])
    start, stop = active_interval(left, right)
    assert start.tolist() == [-1.0, -1.0, -1.0, 0.0, -1.0, -1.0, -1.0]
    assert stop.tolist() == [1.0, -1.0, 0.0, 1.0, 0.5, -1.0, 1.0]


@pytest.mark.parametrize("rule", [midpoint, exact])
def test_constants_made_without_gradients_serve_training(rule):
    """They are kept between calls: a first call in inference mode must not spoil a later one."""
    spec, z = Spec("pwl", "rect", 3, 13 if rule is midpoint else 17), states(2, 3)
    with torch.inference_mode():
        first = rule(z, spec)
    z.requires_grad_()
    rule(z, spec).sum().backward()
    assert z.grad is not None
    torch.testing.assert_close(rule(z, spec), first.clone())


@pytest.mark.parametrize("rule", [midpoint, exact])
def test_memory_does_not_grow_with_width_times_points(rule):
    """Autograd keeps O(M + width) numbers per point, no (n, width, M) tensor."""

    def kept(size):
        total = 0

        def count(t):
            nonlocal total
            total += t.numel() if t.shape[:1] == (64,) else 0
            return t

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            rule(states(64, size).requires_grad_(), Spec("fourier", "pwq", size, 4 * size))
        return total

    assert kept(32) / kept(16) < 2.1
