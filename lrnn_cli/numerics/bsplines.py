"""B-splines of any order on any knots, and their constants."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bspline_basis(x: Tensor, knots: Tensor, order: int) -> Tensor:
    """Evaluate all B-splines of a degree by the recursion of Cox and de Boor, differentiably.

    B_i^0(x) = 1 on [t_i, t_{i+1}), else 0;
    B_i^p(x) = r_i^p(x) B_i^{p-1}(x) + (1 - r_{i+1}^p(x)) B_{i+1}^{p-1}(x) with the ramps
    r_i^p(x) = (x - t_i) / (t_{i+p} - t_i).

    Only p + 1 of them differ from 0 at a point: those are computed, from the left to the right, and put in
    their places.

    Args:
        x: points, (n, k): one column per family of splines.
        knots: t, strictly increasing along its last axis, (k, m), m > p + 1.
        order: the degree p of the polynomial pieces; 3 is cubic.

    Returns:
        the values, (n, k, m - p - 1); 0 outside the knots.
    """
    (n, k), m = x.shape, knots.shape[1]
    interval = torch.searchsorted(knots, x.detach().T.contiguous(), right=True).T - 1  # (n, k)
    inside = (interval >= 0) & (interval < m - 1)
    # p knots more on either side, so that every interval has all neighbours; their splines are dropped below.
    more = torch.arange(1, order + 1, dtype=knots.dtype, device=knots.device)
    first, last = knots[:, :1], knots[:, -1:]
    padded = torch.cat(
        [first - more.flip(0) * (knots[:, 1:2] - first), knots, last + more * (last - knots[:, -2:-1])], 1
    )
    interval = interval.clamp(0, m - 2)
    at = interval + order + padded.shape[1] * torch.arange(k, device=x.device)
    near = [
        padded.flatten()[at + j] for j in range(1 - order, order + 1)
    ]  # t_{i+1-p} ... t_{i+p}, (n, k) each
    values = [inside.to(x.dtype)]
    for p in range(1, order + 1):
        left, right = near[order - p : order], near[order : order + p]
        shares = [value / (b - a) for value, a, b in zip(values, left, right, strict=True)]
        falling = [(b - x) * share for b, share in zip(right, shares, strict=True)]
        rising = [(x - a) * share for a, share in zip(left, shares, strict=True)]
        values = [falling[0], *(r + f for r, f in zip(rising, falling[1:], strict=False)), rising[-1]]
    places = interval.unsqueeze(-1) + torch.arange(order + 1, device=x.device)
    spread = x.new_zeros(n, k, m - 1 + order).scatter(2, places, torch.stack(values, -1))
    return spread[..., order : m - 1]


def bspline_energy(order: int) -> float:
    """Return the integral of the square of the B-spline of degree p on unit knots, 151 / 315 for p = 3.

    It is the central value of the B-spline of degree q = 2 p + 1,
    sum_{j=0..p} (-1)^j C(q + 1, j) (p + 1 - j)^q / q!
    """
    q = 2 * order + 1
    terms = ((-1) ** j * math.comb(q + 1, j) * (order + 1 - j) ** q for j in range(order + 1))
    return sum(terms) / math.factorial(q)
