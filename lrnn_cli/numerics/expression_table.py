"""The functions that expressions know: value, slope and curvature of each, on tensors and on jets.

Every entry takes operands that are all tensors or all jets (`numerics.jets`) and returns the same kind.
Slopes of the piecewise ones (abs, sign, step, min, max) are those of the branch taken; at a kink the
value is still right.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lrnn_cli.numerics.jets import Jet, combine
from lrnn_cli.numerics.univariate import power_derivatives

Operand = Tensor | Jet
Three = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def _unary(three: Three) -> Callable[[Operand], Operand]:
    def apply(u: Operand) -> Operand:
        return u.map(*three(u.value)) if isinstance(u, Jet) else three(u)[0]

    return apply


def _sin(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return u.sin(), u.cos(), -u.sin()


def _cos(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return u.cos(), -u.sin(), -u.cos()


def _tan(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    t = u.tan()
    return t, 1 + t * t, 2 * t * (1 + t * t)


def _exp(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return u.exp(), u.exp(), u.exp()


def _log(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return u.log(), 1 / u, -1 / (u * u)


def _sqrt(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    root = u.sqrt()
    return root, 0.5 / root, -0.25 / (root * u)


def _abs(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return u.abs(), u.sign(), torch.zeros_like(u)


def _sinh(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return u.sinh(), u.cosh(), u.sinh()


def _cosh(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return u.cosh(), u.sinh(), u.cosh()


def _tanh(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    t = u.tanh()
    return t, 1 - t * t, -2 * t * (1 - t * t)


def _asin(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    w = 1 - u * u
    return u.asin(), w**-0.5, u * w**-1.5


def _acos(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    w = 1 - u * u
    return u.acos(), -(w**-0.5), -u * w**-1.5


def _atan(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    w = 1 / (1 + u * u)
    return u.atan(), w, -2 * u * w * w


def _erf(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    slope = (2 / math.sqrt(math.pi)) * (-u * u).exp()
    return torch.erf(u), slope, -2 * u * slope


def _step(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return (u >= 0).to(u.dtype), torch.zeros_like(u), torch.zeros_like(u)


def _sign(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return u.sign(), torch.zeros_like(u), torch.zeros_like(u)


def _reciprocal(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    w = 1 / u
    return w, -w * w, 2 * w * w * w


reciprocal = _unary(_reciprocal)


def angle(y: Operand, x: Operand) -> Operand:
    """Return the angle of (x, y) in (-π, π]; its Laplacian is 0 when y and x are coordinates."""
    if not (isinstance(y, Jet) and isinstance(x, Jet)):
        return torch.atan2(plain(y), plain(x))
    v, u = y.value, x.value
    q = u * u + v * v
    second = (-2 * u * v / q**2, (v * v - u * u) / q**2, 2 * u * v / q**2)
    return combine(y, x, torch.atan2(v, u), (u / q, -v / q), second)


def select(condition: Tensor, yes: Operand, no: Operand) -> Operand:
    """Return `yes` where the condition (n,) holds, `no` elsewhere."""
    if isinstance(yes, Jet) and isinstance(no, Jet):
        return Jet(
            torch.where(condition, yes.value, no.value),
            torch.where(condition, yes.gradient, no.gradient),
            torch.where(condition, yes.laplacian, no.laplacian),
        )
    return torch.where(condition, plain(yes), plain(no))


def plain(u: Operand) -> Tensor:
    """Return the value of an operand."""
    return u.value if isinstance(u, Jet) else u


def alike(u: Operand, v: Operand) -> tuple[Operand, Operand]:
    """Lift a constant to a jet where the other operand is one."""
    if isinstance(u, Jet) and not isinstance(v, Jet):
        return u, _lifted(v, u)
    if isinstance(v, Jet) and not isinstance(u, Jet):
        return _lifted(u, v), v
    return u, v


def _lifted(value: Tensor, like: Jet) -> Jet:
    """Return the jet of a constant; 0 times the other jet would keep that one's NaN and infinities."""
    return Jet(value.expand_as(like.value), torch.zeros_like(like.gradient), torch.zeros_like(like.laplacian))


def minimum(u: Operand, v: Operand) -> Operand:
    """Return the smaller of two operands."""
    return select(plain(u) <= plain(v), u, v)


def maximum(u: Operand, v: Operand) -> Operand:
    """Return the larger of two operands."""
    return select(plain(u) >= plain(v), u, v)


def power(u: Operand, exponent: float) -> Operand:
    """Return u^p for a fixed p; u^0 = 1, also at u = 0."""
    return _unary(power_derivatives(exponent))(u)


FUNCTIONS: dict[str, tuple[int, Callable[..., Operand]]] = {
    **{
        three.__name__[1:]: (1, _unary(three))
        for three in (
            _sin, _cos, _tan, _exp, _log, _sqrt, _abs, _sinh, _cosh, _tanh, _asin, _acos, _atan, _erf,
            _step, _sign,
        )
    },
    "atan2": (2, angle),
    "min": (2, minimum),
    "max": (2, maximum),
}  # fmt: skip
"""Name → number of arguments and function."""

CROSSINGS: dict[str, Callable[..., Tensor]] = {
    **dict.fromkeys(("abs", "step", "sign"), lambda u: u),
    **dict.fromkeys(("min", "max"), lambda u, v: u - v),
    "atan2": lambda y, x: y,
    "tan": torch.cos,
}
"""Name → what changes its sign where the function jumps or has a kink."""

ROOTS: dict[str, Callable[..., Tensor]] = {
    **dict.fromkeys(("sqrt", "log"), lambda u: u),
    **dict.fromkeys(("asin", "acos"), lambda u: 1 - u * u),
}
"""Name → what vanishes where its slope is infinite."""
