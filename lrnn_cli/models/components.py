"""Initial scale and centre of the component functions g(z) = sum_m a_m (sigma(w_m z + c_m) - mu), so that Lemma 1 holds.

Lemma 1 (Maharaj and Nair, ICLR 2026) bounds Var[phi] <= exp(s_g^2) - 1 and sum_k Var[d phi/d z_k] <= s_g'^2 exp(s_g^2) for
independent g_j of mean 0 and variance s_g^2, gamma = d-bar^(-1/2), whatever d-bar. Subtracting the mean mu of sigma makes
g zero-mean while all amplitudes start positive: random signs would do so too, but train worse (benchmarks/search_image.py).
"""

import math
from functools import lru_cache

import torch

from lrnn_cli.kernels.families import FAMILIES


@lru_cache
def moments(family: str, spread: float) -> tuple[float, float]:
    """Return mean and standard deviation of sigma(u), u = N(0, spread^2) + U(-pi, pi) independent.

    Quadrature: trapezoidal rule on +-8 standard deviations, midpoint rule over the phase.
    """
    t = torch.linspace(-8.0, 8.0, 2001, dtype=torch.float64, device="cpu")
    density = torch.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)
    phase = ((torch.arange(256, dtype=torch.float64, device="cpu") + 0.5) / 128 - 1) * math.pi
    values = FAMILIES[family].value(spread * t[:, None] + phase)
    mean = float(torch.trapezoid(values.mean(1) * density, t))
    second = float(torch.trapezoid(values.square().mean(1) * density, t))
    return mean, math.sqrt(second - mean**2)
