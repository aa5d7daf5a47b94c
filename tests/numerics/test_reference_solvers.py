"""Classical solvers: their orders of convergence on solutions that are known."""

import numpy as np
import pytest

from lrnn_cli.numerics.reference_solvers import chebyshev, differences


def exact(p: np.ndarray) -> np.ndarray:
    return np.sin(3 * p[:, 0] * p[:, 1]) + np.exp(p[:, 0])


def source(p: np.ndarray) -> np.ndarray:  # of -Δu + 2 u
    return 9 * (p**2).sum(1) * np.sin(3 * p[:, 0] * p[:, 1]) - np.exp(p[:, 0]) + 2 * exact(p)


AXES = (np.linspace(0, 1, 20), np.linspace(0, 2, 21))
GRID = np.stack([g.ravel() for g in np.meshgrid(*AXES, indexing="ij")], 1)


def test_chebyshev_reaches_rounding() -> None:
    errors = []
    for n in (8, 16, 32):
        found = chebyshev((0, 0), (1, 2), n, source, exact, 1.0, 2.0)
        errors.append(np.abs(found.at_grid(AXES).ravel() - exact(GRID)).max())
    assert errors[0] < 1e-2
    assert errors[1] < 1e-10
    assert errors[2] < 1e-12


def test_differences_are_of_second_order() -> None:
    errors = []
    for n in (31, 63):
        found = differences((0, 0), (1, 2), n, source, exact, 1.0, 2.0)
        points = np.stack([g.ravel() for g in np.meshgrid(*found.axes, indexing="ij")], 1)
        errors.append(np.abs(found.values.ravel() - exact(points)).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert found.at_grid(AXES).shape == (20, 21)


@pytest.mark.parametrize("d", [1, 3])
def test_one_and_three_dimensions(d: int) -> None:
    def u(p: np.ndarray) -> np.ndarray:
        return np.sin(p.sum(1))

    found = chebyshev((0,) * d, (1,) * d, 14, lambda p: d * u(p), u, 1.0, 0.0)
    points = np.stack([g.ravel() for g in np.meshgrid(*found.axes, indexing="ij")], 1)
    np.testing.assert_allclose(found.values.ravel(), u(points), atol=1e-12)
