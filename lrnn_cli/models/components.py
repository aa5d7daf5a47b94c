"""Initial component functions g(z) = sum_m a_m (sigma(omega_0 w_m z + c_m) - mu), so that Lemma 1 holds.

Lemma 1 (Maharaj and Nair, ICLR 2026) bounds Var[phi] <= exp(s_g^2) - 1 and sum_k Var[d phi/d z_k] <= s_g'^2
exp(s_g^2) for independent g_j of mean 0 and variance s_g^2, gamma = d-bar^(-1/2), whatever d-bar.
Subtracting the mean mu of sigma makes g zero-mean while all amplitudes start positive: random signs would
do so too, but trained worse in early trials. In the first layer all g_j at one point share |x|,
on which the mean of a sigma that is not odd depends; beyond 16 factors (4 where scales are spread) signs
alternate there, so that the bounds hold (tests/models/test_lemmas.py).

Two families are series with fixed arguments, of which only the coefficients a (and phases c) are learned:

fourier   Fourier series of M harmonics: sigma = sin, w_m = m, mu = 0, a_m proportional to 1 / m, which gives
          each harmonic the same slope;
bspline   cubic spline on unit knots: sigma = B, the cubic B-spline, w_m = 1, c_m = (M - 1) / 2 - m for
          m = 0 ... M - 1, mu = 0, a ~ N(0, s_g^2 / e) with e = 151/315 the integral of B^2, which gives g the
          variance s_g^2 between the outer knots; outside g is 0.

The kernels need no series of their own for them.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.numerics.bsplines import bspline_energy

POINTS = 128  # of the quadrature per period, even
Sigma = Literal["sin", "spder", "spder-sqrt", "gauss", "tanh", "relu", "fourier", "bspline"]


def kernel_family(sigma: Sigma) -> str:
    """Return the name in `kernels.families` of the function that a family of components is made of."""
    return "sin" if sigma == "fourier" else sigma


@dataclass(frozen=True)
class Start:
    """Initial a, w, c, each (M, D, F) for F functions per factor, mu, and which stay as they are."""

    amplitude: Tensor
    frequency: Tensor
    phase: Tensor
    centre: float
    fixed: tuple[str, ...] = ()


def start(sigma: Sigma, shape: tuple[int, int, int], *, spread: float, sigma_g: float) -> Start:
    """Draw the initial component functions from the global generator.

    Args:
        sigma: the family.
        shape: (M, D, F).
        spread: standard deviation of omega_0 W x; omega_0 b is uniform on (-pi, pi).
        sigma_g: standard deviation that g shall have.

    Returns:
        the functions, in the default precision.
    """
    width = shape[0]
    phase = torch.empty(shape).uniform_(-math.pi, math.pi)
    if width == 1:
        phase = torch.zeros_like(phase)  # b does the same
    if sigma not in ("bspline", "fourier"):
        centre, deviation = moments(sigma, spread, width)
        return Start(torch.full(shape, sigma_g / deviation), torch.ones(shape), phase, centre)
    number = torch.arange(width, dtype=torch.get_default_dtype()).view(-1, 1, 1).expand(shape)
    if sigma == "bspline":
        amplitude = torch.randn(shape) * (sigma_g / math.sqrt(bspline_energy(3)))
        knots = (width - 1) / 2 - number
        return Start(amplitude, torch.ones(shape), knots, 0.0, fixed=("frequency", "phase"))
    size = sigma_g * math.sqrt(2.0 / sum(1 / m**2 for m in range(1, width + 1)))
    return Start(size / (number + 1), number + 1, phase, 0.0, fixed=("frequency",))


@lru_cache
def moments(family: str, spread: float, width: int = 1) -> tuple[float, float]:
    """Return the mean of sigma(u + c) and the standard deviation of s = sum_{m=1..M} sigma(u + c_m).

    u = N(0, spread^2) + U(-pi, pi), shared by the terms; c_m ~ U(-pi, pi), or 0 for M = 1, independent. With
    h(u) and v(u), mean and variance over c at fixed u, Var s = M E[v(u)] + M^2 Var[h(u)]. Quadrature: the
    trapezoidal rule with `POINTS` points per 2 pi over +-7 standard deviations, for c as for u.

    Args:
        family: name of sigma in `kernels.families`.
        spread: standard deviation of the normal part of u, above 0.
        width: M.

    Returns:
        mean and standard deviation.
    """
    step, half = 2 * math.pi / POINTS, POINTS // 2
    reach = math.ceil((7 * spread + math.pi) / step)
    u = torch.arange(-reach - half, reach + half + 1, dtype=torch.float64, device="cpu") * step
    upper, lower = ((u[half:-half] + edge) / (math.sqrt(2) * spread) for edge in (math.pi, -math.pi))
    density = (torch.erf(upper) - torch.erf(lower)) * step / (4 * math.pi)
    values = FAMILIES[family].value(u)
    if width == 1:
        h, v = values[half:-half], torch.zeros_like(density)
    else:
        h, second = (_mean_over_phase(f) for f in (values, values.square()))
        v = second - h.square()
    mean = float((density * h).sum())
    within, between = float((density * v).sum()), float((density * h.square()).sum()) - mean**2
    return mean, math.sqrt(width * within + width**2 * max(between, 0.0))


def _mean_over_phase(values: Tensor) -> Tensor:
    """Return the mean over one period around each point, by the trapezoidal rule; `POINTS` entries fewer."""
    sums = torch.nn.functional.pad(((values[1:] + values[:-1]) / 2).cumsum(0), (1, 0))
    return (sums[POINTS:] - sums[:-POINTS]) / POINTS
