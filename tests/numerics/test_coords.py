"""Cell centres, flat indices and half-open angles."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.numerics.coords import Grid, axis, view_angles
from tests import references

SHAPES = [(1,), (7,), (1, 5), (5, 1), (4, 6), (3, 5, 2), (2, 3, 4, 5)]


def test_axis_of_four_cells_by_hand():
    assert axis(4).tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert axis(1).tolist() == [0.0]
    assert axis(2, 0.0, 10.0).tolist() == [2.5, 7.5]


@settings(deadline=None, derandomize=True, database=None)
@given(n=st.integers(1, 5000), lower=st.floats(-1e3, 1e3), width=st.floats(1e-3, 1e3))
def test_axis_laws(n, lower, width):
    upper = lower + width
    points = axis(n, lower, upper)
    assert points.shape == (n,) and points.dtype == np.float64
    assert lower < points[0] and points[-1] < upper
    scale = 1e-12 * (abs(lower) + abs(upper))
    assert np.diff(points) == pytest.approx((upper - lower) / n, abs=scale)  # equal cells
    assert points + points[::-1] == pytest.approx(lower + upper, abs=scale)  # symmetric


@pytest.mark.parametrize("shape", SHAPES)
def test_grid_matches_the_reference(shape):
    lower = tuple(-1.0 - k for k in range(len(shape)))
    upper = tuple(2.0 + 3 * k for k in range(len(shape)))
    grid = Grid(shape, lower, upper)
    expected = references.grid_points(shape, lower, upper)
    assert grid.ndim == len(shape) and grid.size == len(expected)
    np.testing.assert_allclose(
        grid.coords_range(0, grid.size, torch.float64), expected, rtol=1e-14, atol=1e-14
    )
    order = torch.randperm(grid.size, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(
        grid.coords(order, torch.float64), expected[order.numpy()], rtol=1e-14, atol=1e-14
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_grid_is_exactly_the_product_of_its_axes(shape):
    """The same float64 numbers both ways, and float32 is one rounding away from them."""
    grid = Grid(shape)
    product = np.stack(np.meshgrid(*grid.axes(), indexing="ij"), -1).reshape(-1, len(shape))
    assert np.array_equal(grid.coords_range(0, grid.size, torch.float64).numpy(), product)
    single = grid.coords_range(0, grid.size)
    assert single.dtype == torch.float32
    assert np.array_equal(single.numpy(), product.astype(np.float32))


def test_rows_come_first_and_neither_axis_depends_on_the_other():
    grid = Grid((2, 4))
    assert grid.coords(torch.tensor([0, 3, 4])).tolist() == [[-0.5, -0.75], [-0.5, 0.75], [0.5, -0.75]]


def test_chunks_are_the_whole():
    grid = Grid((5, 7))
    parts = [grid.coords_range(start, min(start + 8, 35)) for start in range(0, 35, 8)]
    assert torch.equal(torch.cat(parts), grid.coords_range(0, 35))
    assert grid.coords_range(4, 4).shape == (0, 2)


def test_grids_of_any_size_cost_only_what_is_asked():
    """A trillion points; index arithmetic beyond 2^32."""
    grid = Grid((10**6, 10**6))
    point = grid.coords(torch.tensor([10**12 - 1]), torch.float64)
    assert point.tolist() == [[axis(10**6)[-1]] * 2]
    assert grid.coords_range(10**12 - 2, 10**12).shape == (2, 2)


def test_lists_become_tuples_and_borders_default():
    grid = Grid([3, 4])
    assert grid == Grid((3, 4), (-1.0, -1.0), (1.0, 1.0))
    assert hash(grid) == hash(Grid((3, 4)))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: axis(0), "n: expected at least 1 cell, got 0"),
        (lambda: axis(3, 1.0, 1.0), "expected finite lower < upper, got 1.0 and 1.0"),
        (lambda: axis(3, 0.0, math.inf), "expected finite lower < upper, got 0.0 and inf"),
        (lambda: Grid(()), r"shape: expected at least one axis and one cell per axis, got \(\)"),
        (lambda: Grid((3, 0)), r"one cell per axis, got \(3, 0\)"),
        (lambda: Grid((3, 4), (0.0,)), r"expected one border per axis \(2\), got 1 and 2"),
        (lambda: Grid((3,), (2.0,), (1.0,)), "expected finite lower < upper, got 2.0 and 1.0"),
        (lambda: Grid((3, 4)).coords(torch.zeros(2)), r"expected int64 of shape \(m,\), got torch.float32"),
        (lambda: Grid((3, 4)).coords(torch.zeros((2, 2), dtype=torch.int64)), r"of shape \(2, 2\)"),
        (lambda: Grid((3, 4)).coords(torch.tensor([0, 12])), "indices: expected 0 … 11, got 0 … 12"),
        (lambda: Grid((3, 4)).coords(torch.tensor([-1, 3])), "indices: expected 0 … 11, got -1 … 3"),
        (lambda: Grid((3, 4)).coords_range(3, 13), "expected 0 <= start <= stop <= 12, got 3 and 13"),
        (lambda: Grid((3, 4)).coords_range(3, 2), "got 3 and 2"),
        (lambda: view_angles(0, 180, 0), "n: expected at least 1 angle, got 0"),
        (lambda: view_angles(90, 90, 3), "expected different finite angles, got 90 and 90"),
        (lambda: view_angles(0, math.nan, 3), "expected different finite angles, got 0 and nan"),
    ],
)
def test_wrong_arguments_say_what_was_expected(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_view_angles_are_half_open():
    assert view_angles(0, 180, 4).tolist() == [0, 45, 90, 135]
    assert view_angles(90, -90, 2).tolist() == [90, 0]
    lines = np.sort(view_angles(0, 180, 97) % 180)
    assert np.diff(lines).min() > 1  # no line is seen twice
