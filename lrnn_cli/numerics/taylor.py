"""Taylor mode for any network: value, gradient and Laplacian pass forward through its own code.

A `Taylor` stands in for the tensor of coordinates. Torch hands every function that meets one to a table of
rules here, so that a network written for tensors returns a `Taylor` without knowing of it:

    linear maps, sums, reshaping     act on value, gradient and Laplacian alike,
    products                         ∇(u v) = u ∇v + v ∇u,   Δ(u v) = u Δv + v Δu + 2 ∇u·∇v,
    functions of one number          ∇φ(u) = φ' ∇u,          Δφ(u) = φ' Δu + φ'' |∇u|².

One forward pass replaces d + 1 nested backward passes, and the result is differentiable by the weights
("forward Laplacian", Li et al., Nature Machine Intelligence 2024). A function without a rule raises
`UnsupportedOperation`; `field_jet` then falls back to nested differentiation.

Shapes: n points, d coordinates; value (n, …), gradient (d, n, …), laplacian (n, …).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lrnn_cli.numerics.jets import Jet, nested
from lrnn_cli.numerics.univariate import DERIVATIVES, Derivatives, power_derivatives


class UnsupportedOperation(TypeError):
    """A network uses a function that has no Taylor rule."""


class Taylor:
    """Value, gradient and Laplacian of a tensor-valued field, in the place of the tensor."""

    __array_priority__ = 1000

    def __init__(self, value: Tensor, gradient: Tensor, laplacian: Tensor) -> None:
        """Take value (n, …), gradient (d, n, …) and Laplacian (n, …)."""
        self.value, self.gradient, self.laplacian = value, gradient, laplacian

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Apply the rule of a torch function."""
        return _rule(getattr(func, "__name__", str(func)))(*args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        """Return a tensor method as its rule, or a property of the value."""
        if name in ("shape", "dtype", "device", "ndim", "new_zeros"):
            return getattr(self.value, name)
        if name.startswith("__"):
            raise AttributeError(name)
        rule = _rule(name)
        return lambda *args, **kwargs: rule(self, *args, **kwargs)

    def __add__(self, other: Any) -> Taylor:
        return _add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Taylor:
        return _add(self, -other)

    def __rsub__(self, other: Any) -> Taylor:
        return _add(-self, other)

    def __neg__(self) -> Taylor:
        return Taylor(-self.value, -self.gradient, -self.laplacian)

    def __mul__(self, other: Any) -> Taylor:
        return _multiply(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Taylor:
        return _divide(self, other)

    def __rtruediv__(self, other: Any) -> Taylor:
        return _divide(other, self)

    def __pow__(self, power: float) -> Taylor:
        return _power(self, power)

    def __matmul__(self, other: Tensor) -> Taylor:
        return _matmul(self, other)

    def __getitem__(self, index: Any) -> Taylor:
        whole = index if isinstance(index, tuple) else (index,)
        return Taylor(self.value[whole], self.gradient[:, *whole], self.laplacian[whole])

    def __gt__(self, other: Any) -> Tensor:
        return self.value > _plain(other)

    def __lt__(self, other: Any) -> Tensor:
        return self.value < _plain(other)

    def __ge__(self, other: Any) -> Tensor:
        return self.value >= _plain(other)

    def __le__(self, other: Any) -> Tensor:
        return self.value <= _plain(other)


def field_jet(
    function: Callable[[Any], Any],
    points: Tensor,
    *,
    origin: Tensor | None = None,
    scale: Tensor | None = None,
) -> Jet:
    """Return the jet of a network's first output by the coordinates that it is given scaled.

    The network sees t = (x - origin) / scale; derivatives are by x.

    Args:
        function: coordinates (n, d) to values (n, 1).
        points: x (n, d).
        origin: (d,); 0 when left out.
        scale: (d,); 1 when left out.

    Returns:
        value (n,), gradient (d, n), Laplacian (n,), differentiable by the weights of the network.
    """
    origin = torch.zeros_like(points[0]) if origin is None else origin
    scale = torch.ones_like(points[0]) if scale is None else scale
    try:
        found = function(lift(points, origin, scale))
        return Jet(found.value[:, 0], found.gradient[:, :, 0], found.laplacian[:, 0])
    except TypeError:  # UnsupportedOperation, or an operator that is none of Python's
        return nested(lambda x: function((x - origin) / scale)[:, 0], points)


def lift(points: Tensor, origin: Tensor, scale: Tensor) -> Taylor:
    """Return t = (x - origin) / scale at points x (n, d); derivatives, equal at all points, are expanded."""
    seeds = torch.diag(1.0 / scale)[:, None].expand(-1, *points.shape)
    return Taylor((points - origin) / scale, seeds, points.new_zeros(()).expand_as(points))


def _plain(x: Any) -> Any:
    return x.value if isinstance(x, Taylor) else x


def _rule(name: str) -> Callable[..., Any]:
    try:
        return _RULES[name]
    except KeyError:
        raise UnsupportedOperation(f"no Taylor rule for {name!r}") from None


def _linear(function: Callable[[Tensor], Tensor]) -> Callable[[Taylor], Taylor]:
    """Return the rule of a linear function of everything behind the axis of the points."""

    def rule(x: Taylor) -> Taylor:
        d, n = x.gradient.shape[:2]
        gradient = function(x.gradient.flatten(0, 1))
        return Taylor(function(x.value), gradient.unflatten(0, (d, n)), function(x.laplacian))

    return rule


def _reshaping(name: str) -> Callable[..., Taylor]:
    return lambda x, *args, **kwargs: _linear(lambda t: getattr(t, name)(*args, **kwargs))(x)


def _elementwise(function: Derivatives) -> Callable[..., Taylor]:
    """Return the rule of φ from v ↦ (φ, φ', φ'')."""

    def rule(x: Taylor, inplace: bool = False) -> Taylor:
        del inplace  # torch.nn.functional passes it on
        value, slope, curvature = function(x.value)
        squared = x.gradient.square().sum(0)
        return Taylor(value, slope * x.gradient, slope * x.laplacian + curvature * squared)

    return rule


def _add(a: Any, b: Any, alpha: float = 1.0) -> Taylor:
    if isinstance(a, Taylor) and isinstance(b, Taylor):
        return Taylor(
            a.value + alpha * b.value, a.gradient + alpha * b.gradient, a.laplacian + alpha * b.laplacian
        )
    if isinstance(b, Taylor):
        a, b = alpha * b, a
        alpha = 1.0
    value = a.value + alpha * b
    if value.shape == a.value.shape:
        return Taylor(value, a.gradient, a.laplacian)
    zero = torch.zeros_like(value)
    return Taylor(value, a.gradient + zero, a.laplacian + zero)


def _multiply(a: Any, b: Any) -> Taylor:
    if not isinstance(a, Taylor):
        a, b = b, a
    if not isinstance(b, Taylor):
        return Taylor(a.value * b, a.gradient * b, a.laplacian * b)
    cross = (a.gradient * b.gradient).sum(0)
    return Taylor(
        a.value * b.value,
        a.value * b.gradient + b.value * a.gradient,
        a.value * b.laplacian + b.value * a.laplacian + 2.0 * cross,
    )


def _divide(a: Any, b: Any) -> Taylor:
    return _multiply(a, _UNARY["reciprocal"](b) if isinstance(b, Taylor) else 1.0 / b)


def _matmul(x: Any, matrix: Any) -> Taylor:
    if isinstance(matrix, Taylor):
        raise UnsupportedOperation("no Taylor rule for 'matmul' from the left")
    return _linear(lambda t: t @ matrix)(x)


def _power(x: Taylor, power: float) -> Taylor:
    return _elementwise(power_derivatives(float(power)))(x)


def _sum(x: Taylor, dim: Any = None, keepdim: bool = False) -> Taylor:
    return _linear(lambda t: t.sum(dim, keepdim))(x)


def _mean(x: Taylor, dim: Any = None, keepdim: bool = False) -> Taylor:
    return _linear(lambda t: t.mean(dim, keepdim))(x)


def _product(x: Taylor, dim: int) -> Taylor:
    """Multiply along an axis, one factor after the other."""
    axis = dim if dim >= 0 else x.value.ndim + dim
    factors = zip(x.value.unbind(axis), x.gradient.unbind(axis + 1), x.laplacian.unbind(axis), strict=True)
    first, *rest = (Taylor(*factor) for factor in factors)
    for factor in rest:
        first = _multiply(first, factor)
    return first


def _largest(x: Taylor, dim: int) -> Taylor:
    """Return the jet of the largest entry along an axis."""
    axis = dim if dim >= 0 else x.value.ndim + dim
    index = x.value.argmax(axis, keepdim=True)
    along = index.expand(len(x.gradient), *index.shape)
    return Taylor(
        x.value.gather(axis, index).squeeze(axis),
        x.gradient.gather(axis + 1, along).squeeze(axis + 1),
        x.laplacian.gather(axis, index).squeeze(axis),
    )


def _affine(x: Taylor, weight: Tensor, bias: Tensor | None = None) -> Taylor:
    product = _linear(lambda t: functional.linear(t, weight))(x)
    return product if bias is None else _add(product, bias)


def _addmm(bias: Tensor, x: Taylor, matrix: Tensor, *, beta: float = 1.0, alpha: float = 1.0) -> Taylor:
    return _add(_linear(lambda t: alpha * (t @ matrix))(x), beta * bias)


def _joined(join: Callable[..., Tensor]) -> Callable[..., Taylor]:
    """Return the rule of cat or stack, some of whose parts may be constant."""

    def rule(parts: Sequence[Any], dim: int = 0) -> Taylor:
        d = next(len(p.gradient) for p in parts if isinstance(p, Taylor))
        full = [p if isinstance(p, Taylor) else _constant(p, d) for p in parts]
        shifted = dim if dim < 0 else dim + 1
        return Taylor(
            join([p.value for p in full], dim),
            join([p.gradient for p in full], shifted),
            join([p.laplacian for p in full], dim),
        )

    return rule


def _constant(value: Tensor, d: int) -> Taylor:
    zero = torch.zeros_like(value)
    return Taylor(value, zero.expand(d, *zero.shape), zero)


def _chunk(x: Taylor, chunks: int, dim: int = 0) -> list[Taylor]:
    shifted = dim if dim < 0 else dim + 1
    parts = (x.value.chunk(chunks, dim), x.gradient.chunk(chunks, shifted), x.laplacian.chunk(chunks, dim))
    return [Taylor(*part) for part in zip(*parts, strict=True)]


def _scatter(into: Tensor, dim: int, index: Tensor, source: Taylor) -> Taylor:
    along = index.expand(len(source.gradient), *index.shape)
    wide = torch.zeros_like(into).expand(len(source.gradient), *into.shape)
    shifted = dim if dim < 0 else dim + 1
    return Taylor(
        into.scatter(dim, index, source.value),
        wide.scatter(shifted, along, source.gradient),
        torch.zeros_like(into).scatter(dim, index, source.laplacian),
    )


def _where(condition: Tensor, a: Any, b: Any) -> Taylor:
    d = len((a if isinstance(a, Taylor) else b).gradient)
    like = _plain(a) if isinstance(a, Taylor) else _plain(b)
    one, two = (
        x if isinstance(x, Taylor) else _constant(torch.as_tensor(x).to(like).expand_as(like), d)
        for x in (a, b)
    )
    return Taylor(
        torch.where(condition, one.value, two.value),
        torch.where(condition, one.gradient, two.gradient),
        torch.where(condition, one.laplacian, two.laplacian),
    )


def _at_least(x: Taylor, smallest: float) -> Taylor:
    return _where(x.value > smallest, x, smallest)


def _layer_norm(
    x: Taylor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Taylor:
    """Return (x - mean) / sqrt(variance + eps) · weight + bias over the last axes."""
    axes = tuple(range(-len(shape), 0))
    centred = x - _mean(x, axes, True)
    variance = _mean(_RULES["square"](centred), axes, True)
    scaled = _multiply(centred, _RULES["rsqrt"](variance + eps))
    scaled = scaled if weight is None else _multiply(scaled, weight)
    return scaled if bias is None else _add(scaled, bias)


_UNARY = {name: _elementwise(derivatives) for name, derivatives in DERIVATIVES.items()}

_RULES: dict[str, Callable[..., Any]] = {
    **_UNARY,
    **{name: _reshaping(name) for name in ("transpose", "flatten", "unflatten", "unsqueeze", "squeeze")},
    "add": _add,
    "sub": lambda a, b: _add(a, -b),
    "rsub": lambda a, b: _add(-a, b),
    "mul": _multiply,
    "div": _divide,
    "neg": lambda x: -x,
    "pow": _power,
    "matmul": _matmul,
    "linear": _affine,
    "addmm": _addmm,
    "addcmul": lambda x, a, b, value=1.0: _add(x, _multiply(a, b), value),
    "sum": _sum,
    "mean": _mean,
    "prod": _product,
    "amax": _largest,
    "cat": _joined(torch.cat),
    "stack": _joined(torch.stack),
    "chunk": _chunk,
    "scatter": _scatter,
    "where": _where,
    "clamp_min": _at_least,
    "layer_norm": _layer_norm,
    "contiguous": lambda x: x,
    "detach": lambda x: x.value.detach(),
    "ones_like": lambda x: torch.ones_like(x.value),
    "zeros_like": lambda x: torch.zeros_like(x.value),
}
# operators reach torch under the names of the methods that they are
_RULES |= {
    "__add__": _add, "__radd__": _add, "__mul__": _multiply, "__rmul__": _multiply,
    "__sub__": _RULES["sub"], "__rsub__": _RULES["rsub"], "__truediv__": _RULES["div"],
    "true_divide": _RULES["div"], "__matmul__": _RULES["matmul"],
}  # fmt: skip
