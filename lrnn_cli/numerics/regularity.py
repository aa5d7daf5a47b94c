"""How regular a residual is, and where it lies: Zygmund seminorms, energy near a set, accuracy of labels.

The Zygmund seminorm of order s of a function f on a domain Ω,

    |f|_s = sup { |f(x + h) - 2 f(x) + f(x - h)| / |h|^s : x, x ± h in Ω, h ≠ 0 },   0 < s <= 2,

is finite for f in the Hölder class C^s where s is no integer, for s = 1 in the larger Zygmund class, which
holds functions with slopes that grow like log 1/|h|. Second differences of affine functions vanish.

Source: A. Zygmund, Smooth functions, Duke Math. J. 12, 1945; E. M. Stein, Singular Integrals, 1970, ch. V.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

ALL_STRIDES = 64  # strides tried on a mesh: all up to here, then this many spread evenly in the logarithm


def zygmund(values: np.ndarray, spacing: Sequence[float], order: float) -> float:
    """Return the Zygmund seminorm on a mesh: the largest quotient over x, x ± h on the mesh.

    h runs over multiples of the steps along the axes and, in two and three dimensions, their diagonals; on a
    mesh of more than 128 samples on an axis not over all multiples. It bounds the supremum from below.

    Args:
        values: f on the mesh, (n_1, …, n_d).
        spacing: distance of neighbours on each axis, (d,).
        order: s, in (0, 2].

    Returns:
        The seminorm, in units of f per length^s; 0 where no axis has three samples, NaN where a value is.

    Raises:
        ValueError: when s is out of range or there is not one spacing per axis.
    """
    if not 0 < order <= 2:
        raise ValueError(f"order: expected 0 < s <= 2, got {order}")
    if len(spacing) != values.ndim:
        raise ValueError(f"spacing: expected one per axis ({values.ndim}), got {len(spacing)}")
    f = values.astype(np.float64)
    largest = 0.0
    for direction in _directions(f.ndim):
        moving = [n for n, e in zip(f.shape, direction, strict=True) if e]
        for stride in _strides((min(moving) - 1) // 2):
            step = [stride * e for e in direction]
            length = math.sqrt(sum((k * w) ** 2 for k, w in zip(step, spacing, strict=True)))
            change = _shifted(f, step, 1) + _shifted(f, step, -1) - 2 * _shifted(f, step, 0)
            largest = np.maximum(largest, np.abs(change).max() / length**order)  # keeps NaN, unlike max
    return float(largest)


def zygmund_triples(
    plus: np.ndarray, centre: np.ndarray, minus: np.ndarray, lengths: np.ndarray, order: float
) -> float:
    """Return the largest quotient over given triples: `zygmund` where there is no mesh.

    Args:
        plus: f(x + h), (n,).
        centre: f(x), (n,).
        minus: f(x - h), (n,).
        lengths: |h|, (n,), above 0.
        order: s, in (0, 2].

    Returns:
        The largest quotient, a lower bound of the seminorm.

    Raises:
        ValueError: when s is out of range.
    """
    if not 0 < order <= 2:
        raise ValueError(f"order: expected 0 < s <= 2, got {order}")
    change = plus.astype(np.float64) - 2 * centre.astype(np.float64) + minus.astype(np.float64)
    return float((np.abs(change) / lengths**order).max())


def energies(residual: np.ndarray, distance: np.ndarray, near: float) -> dict[str, float]:
    """Return how the energy of a residual is spread between a set and the rest.

    Args:
        residual: r at n points.
        distance: of each point to the set, (n,).
        near: points up to this distance count as near.

    Returns:
        `energy_near` and `energy_elsewhere`, the means of r² over the points near and elsewhere; NaN where
        there are none; `energy_near_share`, part of Σ r² that lies near, NaN for r = 0; `near_share`, part
        of the points that are near.
    """
    squares = np.square(residual.reshape(-1).astype(np.float64))
    inside = distance.reshape(-1) <= near
    total, within = float(squares.sum()), float(squares[inside].sum())
    count = int(inside.sum())
    return {
        "energy_near": within / count if count else math.nan,
        "energy_elsewhere": (total - within) / (len(squares) - count) if count < len(squares) else math.nan,
        "energy_near_share": within / total if total > 0 else math.nan,
        "near_share": count / len(squares),
    }


def accuracy(prediction: np.ndarray, *, target: np.ndarray) -> float:
    """Return the part of labels ±1 whose sign the prediction has; a prediction of 0 is wrong.

    Args:
        prediction: any real numbers.
        target: labels -1 and 1, the same shape.

    Returns:
        A number in [0, 1].
    """
    return float((np.sign(prediction) == np.sign(target)).mean())


def _directions(d: int) -> list[tuple[int, ...]]:
    """Return axes and, up to three dimensions, diagonals; of opposite directions one."""
    if d > 3:
        return [tuple(int(k == axis) for k in range(d)) for axis in range(d)]
    found = product((0, 1, -1), repeat=d)
    return [e for e in found if next((k for k in e if k), 0) > 0]


def _strides(most: int) -> list[int]:
    if most <= ALL_STRIDES:
        return list(range(1, most + 1))
    spread = np.geomspace(ALL_STRIDES, most, ALL_STRIDES).round().astype(int)
    return sorted({*range(1, ALL_STRIDES + 1), *spread.tolist()})


def _shifted(f: np.ndarray, step: Sequence[int], sign: int) -> np.ndarray:
    """Return f(x + sign h) for all x with x ± h on the mesh."""
    window = [slice(abs(k) + sign * k, n - abs(k) + sign * k) for n, k in zip(f.shape, step, strict=True)]
    return f[tuple(window)]
