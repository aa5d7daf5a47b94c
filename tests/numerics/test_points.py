"""Scattered points have the face of a grid."""

import numpy as np
import pytest
import torch

from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.points import Points, rows_of, uniform_points


def test_points_are_their_rows():
    rows = np.random.default_rng(0).uniform(-1, 1, (7, 3))
    points = Points(rows)
    assert (points.shape, points.size, points.ndim) == ((7,), 7, 3)
    indices = torch.tensor([6, 0, 3])
    assert np.array_equal(points.coords(indices, torch.float64).numpy(), rows[[6, 0, 3]])
    assert np.array_equal(points.coords(indices).numpy(), rows[[6, 0, 3]].astype(np.float32))
    assert rows_of(points) is points.rows


def test_the_rows_of_a_grid_are_in_the_order_of_its_flat_index():
    grid = Grid((3, 4, 2))
    expected = grid.coords(torch.arange(24), torch.float64).numpy()
    assert np.allclose(rows_of(grid), expected, rtol=0, atol=1e-15)


def test_the_seed_decides_and_the_cube_is_filled():
    one = uniform_points(2000, 5, 3).rows
    assert np.array_equal(one, uniform_points(2000, 5, 3).rows)
    assert not np.array_equal(one, uniform_points(2000, 5, 4).rows)
    assert (
        np.abs(one).max() <= 1
        and np.abs(one.mean(0)).max() < 0.06
        and one.std() == pytest.approx(3**-0.5, rel=0.03)
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.zeros(3), "expected shape \\(n, d\\)"),
        (np.zeros((0, 2)), "expected at least one"),
        (np.full((2, 2), np.nan), "points: expected finite values, got 4 NaN"),
    ],
)
def test_no_table_of_numbers(rows, words):
    with pytest.raises(ValueError, match=words):
        Points(rows)
