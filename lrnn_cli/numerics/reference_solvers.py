"""Classical solvers on boxes, to measure the networks by: Chebyshev collocation and second-order differences.

Both solve -a Δu + c u = f with constant a > 0 and c and given values on the boundary, in up to three
dimensions, and cost milliseconds. A network has to be judged beside them (McGreivy and Hakim, Nature
Machine Intelligence 2024).

Shapes: arrays on tensor grids, (n_1, …, n_d), float64; functions take points (n, d) and return (n,).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class GridSolution:
    """Values on a tensor grid, its axes, and barycentric weights where it stands for a polynomial."""

    axes: tuple[np.ndarray, ...]
    values: np.ndarray
    weights: tuple[np.ndarray, ...] = ()

    def at_grid(self, axes: Sequence[np.ndarray]) -> np.ndarray:
        """Return the values on another tensor grid: by the polynomial, or linearly between the nodes."""
        result = self.values
        for k, x in enumerate(axes):
            if self.weights:
                matrix = _barycentric(self.axes[k], self.weights[k], x)
            else:
                matrix = np.stack([np.interp(x, self.axes[k], row) for row in np.eye(len(self.axes[k]))], 1)
            result = np.moveaxis(np.tensordot(matrix, result, (1, k)), 0, k)
        return result


def chebyshev(
    lower: Sequence[float], upper: Sequence[float], n: int, f: Function, g: Function, a: float, c: float
) -> GridSolution:
    """Solve by collocation at the (n + 1)^d Chebyshev points, with fast diagonalisation.

    Known boundary values go to the right-hand side; what is left is Σ_k I ⊗ … A_k … ⊗ I with A_k the second
    derivative on the inner points, inverted in its eigenbasis. Source: L. N. Trefethen, Spectral Methods in
    MATLAB, 2000, and Lynch, Rice and Thomas, Numerische Mathematik 6, 1964.

    Args:
        lower: lower corner of the box.
        upper: its upper corner.
        n: degree per axis.
        f: right-hand side.
        g: boundary values.
        a: coefficient of -Δu.
        c: coefficient of u.

    Returns:
        the values at all points, boundary included.
    """
    axes, seconds = [], []
    for left, right in zip(lower, upper, strict=True):
        x, matrix = _chebyshev_derivative(n)
        half = (right - left) / 2
        axes.append(left + half * (x + 1))
        seconds.append(matrix @ matrix / half**2)
    points = _points(axes)
    shape = (n + 1,) * len(axes)
    values = _boundary_values(points, shape, g)
    inner = (slice(1, -1),) * len(axes)
    laplacian = sum(_apply(m, values, k) for k, m in enumerate(seconds))
    right_side = f(points).reshape(shape)[inner] + a * np.asarray(laplacian)[inner]
    eigenvalues, bases = zip(*(np.linalg.eig(m[1:-1, 1:-1]) for m in seconds), strict=True)
    for k, basis in enumerate(bases):
        right_side = _apply(np.linalg.inv(basis), right_side, k)
    right_side = right_side / (c - a * _outer_sum(eigenvalues))
    for k, basis in enumerate(bases):
        right_side = _apply(basis, right_side, k)
    values[inner] = np.real(right_side)
    signs = (-1.0) ** np.arange(n + 1)
    signs[[0, -1]] /= 2
    return GridSolution(tuple(axes), values, (signs,) * len(axes))


def differences(
    lower: Sequence[float], upper: Sequence[float], n: int, f: Function, g: Function, a: float, c: float
) -> GridSolution:
    """Solve by second-order central differences on n + 1 equal steps per axis and a sine transform.

    Args:
        lower: lower corner of the box.
        upper: its upper corner.
        n: inner nodes per axis.
        f: right-hand side.
        g: boundary values.
        a: coefficient of -Δu.
        c: coefficient of u.

    Returns:
        the values at all nodes, boundary included.
    """
    from scipy.fft import dstn, idstn

    axes = [np.linspace(left, right, n + 2) for left, right in zip(lower, upper, strict=True)]
    steps = [axis[1] - axis[0] for axis in axes]
    points, shape = _points(axes), (n + 2,) * len(axes)
    values = _boundary_values(points, shape, g)
    inner = (slice(1, -1),) * len(axes)
    right_side = f(points).reshape(shape)[inner].copy()
    for k, step in enumerate(steps):
        both = np.moveaxis(values, k, 0)
        neighbours = np.moveaxis(both[2:] + both[:-2], 0, k)
        rest = tuple(slice(None) if j == k else slice(1, -1) for j in range(len(axes)))
        right_side += a * neighbours[rest] / step**2
    modes = np.pi * np.arange(1, n + 1) / (2 * (n + 1))
    symbol = _outer_sum([(2 * np.sin(modes) / step) ** 2 for step in steps])
    values[inner] = idstn(dstn(right_side, type=1) / (a * symbol + c), type=1)
    return GridSolution(tuple(axes), values)


def _chebyshev_derivative(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points cos(π j / n), ascending, and the differentiation matrix on them."""
    x = -np.cos(np.pi * np.arange(n + 1) / n)
    scale = np.ones(n + 1)
    scale[[0, -1]] = 2
    scale *= (-1.0) ** np.arange(n + 1)
    # differences of cosines as products of sines, without cancellation
    angles = np.pi * np.arange(n + 1) / (2 * n)
    gaps = 2 * np.sin(angles[:, None] + angles) * np.sin(angles[:, None] - angles)
    matrix = np.outer(scale, 1 / scale) / (gaps + np.eye(n + 1))
    matrix -= np.diag(matrix.sum(1))
    return x, matrix


def _barycentric(nodes: np.ndarray, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the matrix (len(x), len(nodes)) of polynomial interpolation."""
    gaps = x[:, None] - nodes
    hit = gaps == 0
    terms = weights / np.where(hit, 1.0, gaps)
    matrix = terms / terms.sum(1, keepdims=True)
    rows = hit.any(1)
    matrix[rows] = hit[rows]
    return matrix


def _points(axes: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], 1)


def _boundary_values(points: np.ndarray, shape: tuple[int, ...], g: Function) -> np.ndarray:
    """Return an array with g on the outermost nodes and 0 inside."""
    inside = np.zeros(shape, bool)
    inside[(slice(1, -1),) * len(shape)] = True
    values = np.zeros(shape)
    values[~inside] = g(points[~inside.ravel()])
    return values


def _apply(matrix: np.ndarray, array: np.ndarray, k: int) -> np.ndarray:
    return np.moveaxis(np.tensordot(matrix, array, (1, k)), 0, k)


def _outer_sum(vectors: Sequence[np.ndarray]) -> np.ndarray:
    total = vectors[0]
    for vector in vectors[1:]:
        total = total[..., None] + vector
    return total
