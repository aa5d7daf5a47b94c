"""Seminorms, energies and spectra: closed forms, laws, and a slow double loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.numerics.coords import axis
from lrnn_cli.numerics.regularity import accuracy, energies, zygmund, zygmund_triples
from lrnn_cli.numerics.spectrum import mean_frequency, radial_spectrum

SEEDS = st.integers(0, 2**31)


def slow_zygmund(f, spacing, order):
    """All pairs x, h on the mesh, h along axes and diagonals."""
    largest = 0.0
    shape = np.array(f.shape)
    for x in np.ndindex(*f.shape):
        for h in np.ndindex(*(2 * shape - 1)):
            h = np.array(h) - (shape - 1)
            moving = np.abs(h[h != 0])
            if not len(moving) or len(set(moving.tolist())) > 1:
                continue
            up, down = np.array(x) + h, np.array(x) - h
            if (np.minimum(up, down) < 0).any() or (np.maximum(up, down) >= shape).any():
                continue
            change = f[tuple(up)] - 2 * f[x] + f[tuple(down)]
            length = math.sqrt(sum((k * w) ** 2 for k, w in zip(h, spacing, strict=True)))
            largest = max(largest, abs(change) / length**order)
    return largest


@settings(max_examples=9)
@given(SEEDS, st.sampled_from([(9,), (4, 6), (3, 3, 4)]), st.floats(0.1, 2))
def test_the_seminorm_is_that_of_the_double_loop(seed, shape, order):
    draw = np.random.default_rng(seed)
    f, spacing = draw.standard_normal(shape), draw.uniform(0.1, 1, len(shape)).tolist()
    assert zygmund(f, spacing, order) == pytest.approx(slow_zygmund(f, spacing, order), rel=1e-12)


@settings(max_examples=25)
@given(SEEDS, st.floats(-3, 3), st.floats(0.1, 2))
def test_it_is_a_seminorm_blind_to_affine_functions(seed, factor, order):
    draw = np.random.default_rng(seed)
    f, g = draw.standard_normal((2, 11, 8))
    x, y = np.meshgrid(axis(11), axis(8), indexing="ij")
    spacing = [2 / 11, 2 / 8]
    of_f, of_g = zygmund(f, spacing, order), zygmund(g, spacing, order)
    assert zygmund(f + g, spacing, order) <= (of_f + of_g) * (1 + 1e-12)
    assert zygmund(factor * f, spacing, order) == pytest.approx(abs(factor) * of_f, rel=1e-9, abs=1e-12)
    assert zygmund(f + 3 * x - y + 2, spacing, order) == pytest.approx(of_f, rel=1e-9)


def test_closed_forms():
    # x² has f(x+h) - 2 f(x) + f(x-h) = 2 h² everywhere; |x|^a has 2 |h|^a at 0, its largest quotient
    n = 401
    x = np.linspace(-1, 1, n)
    assert zygmund(x * x, [2 / (n - 1)], 2.0) == pytest.approx(2, rel=1e-9)
    for alpha in (0.5, 1.0, 1.5):
        assert zygmund(np.abs(x) ** alpha, [2 / (n - 1)], alpha) == pytest.approx(2, rel=1e-9)
    # x log|x| lies in the Zygmund class, though its slope is not bounded: 2 asinh 1, at x = h / sqrt 2
    f = x * np.log(np.where(x == 0, 1, np.abs(x)))
    assert zygmund(f, [2 / (n - 1)], 1.0) == pytest.approx(2 * math.asinh(1), rel=1e-3)
    assert zygmund(np.ones((2, 2)), [1.0, 1.0], 1.0) == 0


def test_a_mesh_of_four_axes_is_looked_at_along_the_axes():
    f = np.zeros((3, 3, 3, 3))
    f[1, 1, 1, 1] = 1
    assert zygmund(f, [0.5, 1, 1, 1], 1.0) == pytest.approx(4)


@given(SEEDS, st.floats(0.1, 2))
def test_triples_give_the_quotients(seed, order):
    draw = np.random.default_rng(seed)
    plus, centre, minus = draw.standard_normal((3, 50))
    lengths = draw.uniform(0.1, 1, 50)
    expected = max(
        abs(p - 2 * c + m) / h**order for p, c, m, h in zip(plus, centre, minus, lengths, strict=True)
    )
    assert zygmund_triples(plus, centre, minus, lengths, order) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("at", [0, 3, 8])
def test_a_seminorm_of_what_is_no_number_is_none(at):
    f = np.linspace(0, 1, 9) ** 2
    f[at] = math.nan
    assert math.isnan(zygmund(f, [0.1], 1.0))
    assert math.isnan(zygmund_triples(f, np.zeros(9), np.zeros(9), np.ones(9), 1.0))


@pytest.mark.parametrize("order", [0.0, 2.1, math.nan])
def test_orders_beyond_two_say_nothing(order):
    with pytest.raises(ValueError, match="order: expected 0 < s <= 2"):
        zygmund(np.zeros(5), [1.0], order)
    with pytest.raises(ValueError, match="order: expected 0 < s <= 2"):
        zygmund_triples(*np.zeros((3, 5)), np.ones(5), order)


def test_every_axis_needs_its_spacing():
    with pytest.raises(ValueError, match="one per axis \\(2\\), got 1"):
        zygmund(np.zeros((5, 5)), [1.0], 1.0)


@given(SEEDS, st.floats(0, 1.2))
def test_energies_add_up_to_the_mean_square(seed, near):
    draw = np.random.default_rng(seed)
    residual, distance = draw.standard_normal((4, 9)), draw.uniform(0, 1, (4, 9))
    found = energies(residual, distance, near)
    share = found["near_share"]
    parts = [(share, found["energy_near"]), (1 - share, found["energy_elsewhere"])]
    total = sum(weight * energy for weight, energy in parts if weight > 0)
    assert total == pytest.approx(np.square(residual).mean(), rel=1e-9)
    if share > 0:
        assert found["energy_near_share"] == pytest.approx(share * found["energy_near"] / total, rel=1e-9)
    assert math.isnan(energies(0 * residual, distance, near)["energy_near_share"])


def test_labels_count_by_their_sign():
    target = np.array([1.0, -1.0, 1.0, -1.0])
    assert accuracy(np.array([0.1, -9.0, -0.1, 0.0]), target=target) == 0.5


@pytest.mark.parametrize(("shape", "waves"), [((64,), (5,)), ((32, 48), (3, 4)), ((16, 16, 16), (2, 1, 2))])
def test_a_wave_stands_at_its_frequency(shape, waves):
    # cos 2π k·x on spans of 2 has |k| / 2 ... in cycles per unit, here waves per span
    grids = np.meshgrid(*(axis(n) for n in shape), indexing="ij")
    f = np.cos(np.pi * sum(k * g for k, g in zip(waves, grids, strict=True)))
    spans = (2.0,) * len(shape)
    frequencies, amplitudes = radial_spectrum(f, spans)
    expected = math.sqrt(sum(k * k for k in waves)) / 2
    assert frequencies[np.argmax(amplitudes)] == pytest.approx(expected, abs=0.26)
    assert mean_frequency(f, spans) == pytest.approx(expected, rel=0.05)
    assert frequencies[0] > 0 and frequencies[-1] <= min(shape) / 4 + 1e-9
    assert radial_spectrum(-3 * f + 7, spans)[1] == pytest.approx(3 * amplitudes, rel=1e-6, abs=1e-12)


def test_a_constant_has_no_frequency():
    assert mean_frequency(np.full((8, 8), 3.0), (2.0, 2.0)) == 0
