"""B-splines of any order on any knots, and their constants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def bspline_basis(x: Tensor, knots: Tensor, order: int) -> Tensor:
    """Evaluate all B-splines of a degree by the recursion of Cox and de Boor, differentiably.

    B_i^0(x) = 1 on [t_i, t_{i+1}), else 0;
    B_i^p(x) = r_i^p(x) B_i^{p-1}(x) + (1 - r_{i+1}^p(x)) B_{i+1}^{p-1}(x) with the ramps
    r_i^p(x) = (x - t_i) / (t_{i+p} - t_i).

    Args:
        x: points, (n, k): one column per family of splines.
        knots: t, strictly increasing along its last axis, (k, m).
        order: the degree p of the polynomial pieces; 3 is cubic.

    Returns:
        the values, (n, k, m - p - 1); 0 outside the knots.
    """
    x = x.unsqueeze(-1)
    basis = ((x >= knots[:, :-1]) & (x < knots[:, 1:])).to(x.dtype)
    for p in range(1, order + 1):
        ramps = (x - knots[:, :-p]) / (knots[:, p:] - knots[:, :-p])
        basis = ramps[..., :-1] * basis[..., :-1] + (1 - ramps[..., 1:]) * basis[..., 1:]
    return basis


def bspline_energy(order: int) -> float:
    """Return the integral of the square of the B-spline of degree p on unit knots, 151 / 315 for p = 3.

    It is the central value of the B-spline of degree q = 2 p + 1,
    sum_{j=0..p} (-1)^j C(q + 1, j) (p + 1 - j)^q / q!
    """
    q = 2 * order + 1
    terms = ((-1) ** j * math.comb(q + 1, j) * (order + 1 - j) ** q for j in range(order + 1))
    return sum(terms) / math.factorial(q)
