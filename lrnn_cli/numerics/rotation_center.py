"""The axis of rotation of a parallel-beam scan, found from the data alone.

A view and the view half a turn later see the same lines in mirrored order, p(θ + π, s) = p(θ, -s). The bin
coordinate c about which they mirror is the axis. An error of a few bins ruins a reconstruction, so measured
data need this.
"""

from __future__ import annotations

import math

import numpy as np

from lrnn_cli.numerics.checks import check_shape


def find_center(sinogram: np.ndarray, angles: np.ndarray) -> float:
    """Bin coordinate of the axis of rotation, to a fraction of a bin.

    Takes pairs of views half a turn apart (up to 24); where there is none nearer than a step and a half (a
    scan over [0°, 180°)), the first and the last view serve. The pairs are compared over the part of the
    detector that both cover, for axes up to a quarter of the detector from its middle in steps of half a bin:
    the energy of the difference over that of the data there, so that empty parts, which are equal about any
    axis, do not win. A parabola through the best three refines.

    Args:
        sinogram: Line integrals, (views, bins).
        angles: View angles in radians, (views,).

    Returns:
        The bin coordinate; (bins - 1) / 2 is the middle of the detector.

    Raises:
        ValueError: If the views turn less than half a turn, so that none mirrors another.
    """
    p = np.asarray(sinogram, dtype=np.float64)
    theta = np.asarray(angles, dtype=np.float64).reshape(-1)
    check_shape("sinogram", p, (len(theta), None))
    pairs = mirrored_views(theta)
    n_bins = p.shape[1]
    shifts = np.arange(-(n_bins - 1) // 2, (n_bins - 1) // 2 + 1) + 0.0
    # 2c = sum of the coordinates of mirrored bins; whole sums are half bins of c
    sums = (n_bins - 1) + shifts[np.abs(shifts) <= 0.6 * n_bins]
    cost = np.array([_mismatch(p, pairs, int(total)) for total in sums])
    best = int(np.argmin(cost))
    center = sums[best] / 2
    if 0 < best < len(sums) - 1:
        left, middle, right = cost[best - 1 : best + 2]
        bend = left - 2 * middle + right
        if bend > 0:
            center += 0.25 * (left - right) / bend
    return float(center)


def mirrored_views(theta: np.ndarray, most: int = 24) -> list[tuple[int, int]]:
    """Pairs of views about half a turn apart.

    Args:
        theta: Angles in radians, (v,).
        most: Largest number of pairs; evenly chosen where there are more.

    Returns:
        Pairs of indices, the nearest to half a turn where several are.

    Raises:
        ValueError: If the views turn less than half a turn.
    """
    span = float(np.ptp(theta))
    step = span / max(len(np.unique(theta)) - 1, 1)
    away = np.abs(np.mod(theta[None, :] - theta[:, None] - math.pi + math.pi, 2 * math.pi) - math.pi)
    partner = away.argmin(axis=1)
    miss = away[np.arange(len(theta)), partner]
    if len(theta) < 2 or miss.min() > 1.5 * step + 1e-9:
        raise ValueError(
            "angles: expected views over at least half a turn; without two mirrored views the axis of "
            "rotation cannot be found"
        )
    first = np.flatnonzero(miss <= miss.min() + 0.1 * step)
    seen = {tuple(sorted((int(i), int(partner[i])))) for i in first}
    pairs = [(a, b) for a, b in sorted(seen)]
    if len(pairs) > most:
        pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, most).round().astype(int)]
    return pairs


def _mismatch(p: np.ndarray, pairs: list[tuple[int, int]], total: int) -> float:
    """Energy of p(a, b) - p(a', total - b) over that of both, where both lie on the detector; else 1."""
    n_bins = p.shape[1]
    low, high = max(0, total - n_bins + 1), min(n_bins - 1, total)
    first, second = np.transpose(pairs)
    one, other = p[first, low : high + 1], p[second, total - high : total - low + 1][:, ::-1]
    energy = float(np.sum(one**2) + np.sum(other**2))
    return float(np.sum((one - other) ** 2)) / energy if energy > 0 else 1.0
