"""Univariate families sigma of the component functions: value and derivatives, in one table.

A component is g(z) = sum_m a_m sigma(w_m z + c_m). `spder` is the damping sin(x) arctan(x) and `spder-sqrt`
the damping sin(x) sqrt(|x|) of SPDER (Shah and Sitawarin, 2023), both used for LRNN by Maharaj and Nair
(ICLR 2026). All slopes are finite everywhere: the one of `spder-sqrt`, cos(x) sqrt|x| + sin|x| / (2 sqrt|x|),
tends to 0 at 0 and is guarded there. Its second derivative is not bounded at 0, so that it has none here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-18  # below this sqrt|x| the quotient sin|x| / sqrt|x| is 0 in every precision used


@dataclass(frozen=True)
class Family:
    """One univariate function: `value(u)`, and `value_and_slope(u)` with the derivative by u.

    `to_third(u)` returns the value and the first three derivatives, new tensors all; None where the second
    is not bounded. At a kink a derivative is that of one of its sides.
    """

    value: Callable[[Tensor], Tensor]
    value_and_slope: Callable[[Tensor], tuple[Tensor, Tensor]]
    to_third: Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Tensor]] | None = None


def _spder(u: Tensor) -> tuple[Tensor, Tensor]:
    sine, arc = u.sin(), u.atan()
    return sine * arc, u.cos().mul_(arc).add_(sine.div_(u.square().add_(1.0)))


def _sin_to_third(u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    sine, cosine = u.sin(), u.cos()
    return sine, cosine, -sine, -cosine


def _spder_to_third(u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """By Leibniz' rule; the derivatives of arctan are q = 1 / (1 + u^2), -2 u q^2 and (6 u^2 - 2) q^3."""
    sine, cosine, arc = u.sin(), u.cos(), u.atan()
    square = u.square()
    q = (square + 1.0).reciprocal_()
    second = (u * q).mul_(q).mul_(-2.0)
    third = square.mul_(6.0).sub_(2.0).mul_(q).mul_(q).mul_(q)
    value, turned = sine * arc, cosine * arc
    return (
        value,
        torch.addcmul(turned, sine, q),
        torch.addcmul(-value, cosine, q, value=2.0).addcmul_(sine, second),
        torch.addcmul(-turned, sine, q, value=-3.0).addcmul_(cosine, second, value=3.0).addcmul_(sine, third),
    )


def _gauss_to_third(u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    square = u.square()
    value = (-square).exp_()
    return value, -2.0 * u * value, (4.0 * square - 2.0) * value, (12.0 - 8.0 * square) * u * value


def _tanh_to_third(u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    value = u.tanh()
    square = value.square()
    slope = 1.0 - square
    return value, slope, -2.0 * value * slope, (6.0 * square - 2.0) * slope


def _relu_to_third(u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return u.relu(), (u > 0).to(u.dtype), torch.zeros_like(u), torch.zeros_like(u)


def _root(u: Tensor) -> Tensor:
    """sqrt|u| whose derivative stays finite: the double `where` keeps autograd away from 0."""
    magnitude = u.abs()
    safe = torch.where(magnitude > 0, magnitude, torch.ones_like(u))
    return torch.where(magnitude > 0, safe.sqrt(), torch.zeros_like(u))


def _spder_sqrt(u: Tensor) -> tuple[Tensor, Tensor]:
    magnitude = u.abs()
    root = magnitude.sqrt()
    half = magnitude.sin().div_(root.clamp_min(_TINY).mul_(2.0))
    return u.sin().mul_(root), u.cos().mul_(root).add_(half)


def _gauss(u: Tensor) -> tuple[Tensor, Tensor]:
    value = u.square().neg_().exp_()
    return value, (value * u).mul_(-2.0)


def _tanh(u: Tensor) -> tuple[Tensor, Tensor]:
    value = u.tanh()
    return value, value.square().neg_().add_(1.0)


def _bspline_value(u: Tensor) -> Tensor:
    """Cubic B-spline on the knots -2 ... 2, ((2 - |u|)_+^3 - 4 (1 - |u|)_+^3) / 6."""
    magnitude = u.abs()
    return ((2.0 - magnitude).relu().pow(3) - 4.0 * (1.0 - magnitude).relu().pow(3)) / 6.0


def _bspline(u: Tensor) -> tuple[Tensor, Tensor]:
    magnitude = u.abs()
    outer, inner = (2.0 - magnitude).relu_(), (1.0 - magnitude).relu_()
    slope = inner.square().mul_(4.0).sub_(outer.square()).mul_(0.5).mul_(u.sign())
    return outer.pow_(3).sub_(inner.pow_(3).mul_(4.0)).div_(6.0), slope


def _bspline_to_third(u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    value, slope = _bspline(u)
    magnitude = u.abs()
    outer, inner = (2.0 - magnitude).relu_(), (1.0 - magnitude).relu_()
    third = (4.0 * (inner > 0).to(u.dtype)).sub_((outer > 0).to(u.dtype))
    third = torch.where(u < 0, -third, third)
    return value, slope, outer - 4.0 * inner, third


FAMILIES: dict[str, Family] = {
    "sin": Family(torch.sin, lambda u: (u.sin(), u.cos()), _sin_to_third),
    "spder": Family(lambda u: u.sin() * u.atan(), _spder, _spder_to_third),
    "spder-sqrt": Family(lambda u: u.sin() * _root(u), _spder_sqrt),
    "gauss": Family(lambda u: (-u.square()).exp(), _gauss, _gauss_to_third),
    "tanh": Family(torch.tanh, _tanh, _tanh_to_third),
    "relu": Family(torch.relu, lambda u: (u.relu(), (u > 0).to(u.dtype)), _relu_to_third),
    "bspline": Family(_bspline_value, _bspline, _bspline_to_third),
}
