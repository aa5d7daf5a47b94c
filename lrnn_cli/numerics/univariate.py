"""Functions of one number with their derivatives: v ↦ (φ, φ', φ''), for tensors of any shape."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Derivatives = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def _sigmoid(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s = v.sigmoid()
    slope = s * (1 - s)
    return s, slope, slope * (1 - 2 * s)


def _silu(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s, slope, curvature = _sigmoid(v)
    return v * s, s + v * slope, 2 * slope + v * curvature


def _tanh(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    t = v.tanh()
    slope = 1 - t * t
    return t, slope, -2 * t * slope


def _atan(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    slope = 1 / (1 + v * v)
    return v.atan(), slope, -2 * v * slope * slope


def _step(v: Tensor) -> Tensor:
    return (v > 0).to(v.dtype)


def _exp(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    e = v.exp()
    return e, e, e


def _erf(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    slope = (2 / math.sqrt(math.pi)) * (-v * v).exp()
    return v.erf(), slope, -2 * v * slope


def power_derivatives(p: float) -> Derivatives:
    """Return v ↦ (v^p, p v^{p-1}, p (p-1) v^{p-2}); a derivative that vanishes does so at v = 0, too."""

    def three(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        def term(factor: float, exponent: float) -> Tensor:
            return torch.zeros_like(v) if factor == 0 else factor * v**exponent

        return term(1.0, p), term(p, p - 1), term(p * (p - 1), p - 2)

    return three


DERIVATIVES: dict[str, Derivatives] = {
    "sin": lambda v: (v.sin(), v.cos(), -v.sin()),
    "cos": lambda v: (v.cos(), -v.sin(), -v.cos()),
    "exp": _exp,
    "log": lambda v: (v.log(), 1 / v, -1 / v**2),
    "tanh": _tanh,
    "atan": _atan,
    "erf": _erf,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "relu": lambda v: (v.relu(), _step(v), torch.zeros_like(v)),
    "abs": lambda v: (v.abs(), v.sign(), torch.zeros_like(v)),
    "square": lambda v: (v.square(), 2 * v, 2 * torch.ones_like(v)),
    "sqrt": lambda v: (v.sqrt(), 0.5 * v**-0.5, -0.25 * v**-1.5),
    "rsqrt": lambda v: (v**-0.5, -0.5 * v**-1.5, 0.75 * v**-2.5),
    "reciprocal": lambda v: (1 / v, -1 / v**2, 2 / v**3),
}
