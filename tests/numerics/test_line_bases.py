"""Families of functions on [-1, 1]: what the table of the source demands, and the pieces made of them."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate
from scipy.interpolate import BSpline

from lrnn_cli.numerics.line_bases import (
    BASES,
    DEGREE,
    breakpoints,
    cell_polynomials,
    end_values,
    evaluate,
    gain,
    mesh,
)

CONTINUOUS = {"pwl", "pwq", "fourier", "pwl-w"}
ZERO_INTEGRAL = {"fourier", "pwl-w", "rect-w"}
SIZES = (1, 2, 5, 6)


def fine(n=20_000):
    return (np.arange(n) + 0.5) * 2 / n - 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", BASES)
def test_the_table_of_properties(name, size):
    """Continuous, zero integral, linearly independent: for each family as the source says."""
    s = fine()
    values = evaluate(name, size, s)
    assert values.shape == (size, s.size)
    jump = np.abs(np.diff(values, axis=1)).max()
    assert (jump < 0.01) == (name in CONTINUOUS) or (name, size) == ("rect", 1)
    integrals = values.mean(1) * 2
    if name in ZERO_INTEGRAL:
        assert np.abs(integrals).max() < 1e-3
    else:
        assert integrals.min() > 0.1
    assert np.linalg.cond(values @ values.T) < 1e3


def test_the_quadratic_family_is_splines_of_scipy():
    size, s = 6, fine(999)
    h = 2 / size
    for i, values in enumerate(evaluate("pwq", size, s)):
        knots = -1 + (i + 0.5) * h + h * (np.arange(4) - 1.5)
        expected = np.nan_to_num(BSpline.basis_element(knots, extrapolate=False)(s))
        np.testing.assert_allclose(values, expected, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_hats_interpolate(size):
    """z . p is the polygon through z at equidistant nodes."""
    z, s = np.random.default_rng(0).normal(size=size), fine(99)
    expected = np.interp(s, np.linspace(-1, 1, size), z) if size > 1 else np.full(99, z[0])
    np.testing.assert_allclose(z @ evaluate("pwl", size, s), expected, atol=1e-12)


def test_wavelets_are_differences_of_neighbours():
    s = fine(60)
    np.testing.assert_allclose(evaluate("rect-w", 4, s), -np.diff(evaluate("rect", 5, s), axis=0))
    hats = evaluate("pwl", 5, s) * np.array([2, 1, 1, 1, 2])[:, None]
    np.testing.assert_allclose(evaluate("pwl-w", 4, s), -np.diff(hats, axis=0))


def test_fourier_in_order():
    s = fine(50)
    expected = [np.sin(np.pi * s), np.cos(np.pi * s), np.sin(2 * np.pi * s)]
    np.testing.assert_allclose(evaluate("fourier", 3, s), expected, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in BASES if name != "fourier"])
def test_between_breakpoints_they_are_polynomials(name):
    """Of the degree in `DEGREE`: finite differences of one order more vanish inside each cell."""
    edges = breakpoints(name, 5)
    assert edges[0] == -1.0
    assert edges[-1] == 1.0
    for a, b in pairwise(edges):
        s = a + (b - a) * np.linspace(0.01, 0.99, 12)
        differences = np.diff(evaluate(name, 5, s), n=DEGREE[name] + 1, axis=1)
        assert np.abs(differences).max() < 1e-12


def test_jumps_take_the_side_that_is_asked_for():
    s = np.array([0.0])
    assert evaluate("rect", 2, s, s - 0.1).tolist() == [[1.0], [0.0]]
    assert evaluate("rect", 2, s, s + 0.1).tolist() == [[0.0], [1.0]]
    assert end_values("rect", 2, np.array([-1.0, 0.0, 1.0])).tolist() == [
        [1.0, 0.0, 1.0, 0.0],
        [0.0, 1.0, 0.0, 1.0],
    ]


def test_a_mesh_has_the_edges_of_all_families_and_adds_cells_for_curves():
    assert mesh([("rect", 2), ("pwl", 5)], {"rect"}, 4).tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert len(mesh([("rect", 3), ("pwq", 3)], {"rect"}, 100)) == 4
    assert len(mesh([("pwq", 3), ("rect", 3)], {"pwq"}, 99)) == 100
    assert len(mesh([("rect", 3), ("fourier", 3)], {"rect"}, 99)) == 100


@pytest.mark.parametrize("name", BASES)
def test_the_polynomials_of_a_cell(name):
    edges = mesh([(name, 4)], {name}, 400)
    half, middle = np.diff(edges) / 2, (edges[:-1] + edges[1:]) / 2
    terms = cell_polynomials(name, 4, edges).T.reshape(4, DEGREE[name] + 1, -1)
    for t in (-0.9, 0.3, 0.7):
        values = sum(term * t**k for k, term in enumerate(terms.transpose(1, 0, 2)))
        expected = evaluate(name, 4, middle + t * half) * half
        np.testing.assert_allclose(values, expected, atol=1e-8 if name == "fourier" else 1e-14)


def test_the_gain_of_rect_with_rect_makes_a_relu():
    for size in (1, 3, 64, 1000):
        assert gain("rect", "rect", size) == pytest.approx(size / 2, rel=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), [("fourier", "pwq"), ("pwl", "fourier"), ("rect-w", "pwl-w")])
@pytest.mark.parametrize("size", [3, 20, 90])
def test_the_gain_keeps_half_the_mean_square(inputs, outputs, size):
    z = np.random.default_rng(0).normal(size=(400, size))
    s = fine(16 * size)
    state = np.maximum(0.0, z @ evaluate(inputs, size, s))
    u = gain(inputs, outputs, size) * 2 / s.size * state @ evaluate(outputs, size, s).T
    assert np.mean(u**2) == pytest.approx(0.5, rel=0.08)


def test_the_gain_of_a_single_function():
    """u = c int p max(0, z p) ds = c z E for p = -2 s, z > 0, E the integral of p^2 where p > 0, 4 / 3."""
    energy = integrate.quad(lambda s: 4 * s**2, -1, 0)[0]
    assert energy == pytest.approx(4 / 3)
    assert gain("pwl-w", "pwl-w", 1) == pytest.approx(1 / (np.sqrt(2) * energy), rel=1e-3)


def test_where_nothing_comes_out_the_gain_is_one():
    assert gain("rect", "fourier", 1) == 1.0
