"""Univariate families sigma of the component functions: value and slope, in one table.

A component is g(z) = sum_m a_m sigma(w_m z + c_m). `spder` is the damping sin(x) arctan(x) and `spder-sqrt`
the damping sin(x) sqrt(|x|) of SPDER (Shah and Sitawarin, 2023), both used for LRNN by Maharaj and Nair
(ICLR 2026). All slopes are finite everywhere: the one of `spder-sqrt`, cos(x) sqrt|x| + sin|x| / (2 sqrt|x|),
tends to 0 at 0 and is guarded there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-18  # below this sqrt|x| the quotient sin|x| / sqrt|x| is 0 in every precision used


@dataclass(frozen=True)
class Family:
    """One univariate function: `value(u)`, and `value_and_slope(u)` with the derivative by u."""

    value: Callable[[Tensor], Tensor]
    value_and_slope: Callable[[Tensor], tuple[Tensor, Tensor]]


def _spder(u: Tensor) -> tuple[Tensor, Tensor]:
    sine, arc = u.sin(), u.atan()
    return sine * arc, u.cos().mul_(arc).add_(sine.div_(u.square().add_(1.0)))


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


FAMILIES: dict[str, Family] = {
    "sin": Family(torch.sin, lambda u: (u.sin(), u.cos())),
    "spder": Family(lambda u: u.sin() * u.atan(), _spder),
    "spder-sqrt": Family(lambda u: u.sin() * _root(u), _spder_sqrt),
    "gauss": Family(lambda u: (-u.square()).exp(), _gauss),
    "tanh": Family(torch.tanh, _tanh),
    "relu": Family(torch.relu, lambda u: (u.relu(), (u > 0).to(u.dtype))),
    "bspline": Family(_bspline_value, _bspline),
}
