"""Jets: a value together with its gradient and Laplacian, carried forward through arithmetic (Taylor mode).

For a scalar field u the jet is (u, ∇u, Δu). Sums and products of jets and functions of them follow

    ∇(u v) = u ∇v + v ∇u,          Δ(u v) = u Δv + v Δu + 2 ∇u·∇v,
    ∇φ(u) = φ'(u) ∇u,              Δφ(u) = φ'(u) Δu + φ''(u) |∇u|²,
    Δφ(u, v) = φ_u Δu + φ_v Δv + φ_uu |∇u|² + 2 φ_uv ∇u·∇v + φ_vv |∇v|²,

so that one forward pass gives the Laplacian without a Hessian and without nested differentiation (the
"forward Laplacian" of Li et al., Nature Machine Intelligence 2024). All is float64 in, float64 out, and
differentiable by torch.

Shapes: value (…), gradient (d, …), laplacian (…) for fields on R^d.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Jet:
    """Value (…), gradient (d, …) and Laplacian (…) of a field at many points."""

    value: Tensor
    gradient: Tensor
    laplacian: Tensor

    def __add__(self, other: Jet | Tensor) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value + other, self.gradient, self.laplacian)
        return Jet(self.value + other.value, self.gradient + other.gradient, self.laplacian + other.laplacian)

    def __neg__(self) -> Jet:
        return Jet(-self.value, -self.gradient, -self.laplacian)

    def __mul__(self, other: Jet | Tensor) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.gradient * other, self.laplacian * other)
        cross = (self.gradient * other.gradient).sum(0)
        return Jet(
            self.value * other.value,
            self.value * other.gradient + other.value * self.gradient,
            self.value * other.laplacian + other.value * self.laplacian + 2.0 * cross,
        )

    def map(self, value: Tensor, slope: Tensor, curvature: Tensor) -> Jet:
        """Return φ(u) from φ, φ' and φ'' at u, each (…)."""
        squared = self.gradient.square().sum(0)
        return Jet(value, slope * self.gradient, slope * self.laplacian + curvature * squared)


def coordinates(points: Tensor) -> list[Jet]:
    """Return the jets of the d coordinate functions at points (n, d): gradient e_k, Laplacian 0."""
    n, d = points.shape
    unit = torch.eye(d, dtype=points.dtype, device=points.device)
    zero = torch.zeros(n, dtype=points.dtype, device=points.device)
    return [Jet(points[:, k], unit[:, k, None].expand(d, n), zero) for k in range(d)]


def constant(value: float, like: Tensor) -> Jet:
    """Return the jet of a constant at the points of `like` (n, d)."""
    n, d = like.shape
    return Jet(like.new_full((n,), value), like.new_zeros(d, n), like.new_zeros(n))


def combine(
    u: Jet, v: Jet, value: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor, Tensor]
) -> Jet:
    """Return φ(u, v) from its value, first (φ_u, φ_v) and second derivatives (φ_uu, φ_uv, φ_vv)."""
    gradient = first[0] * u.gradient + first[1] * v.gradient
    laplacian = (
        first[0] * u.laplacian
        + first[1] * v.laplacian
        + second[0] * u.gradient.square().sum(0)
        + 2.0 * second[1] * (u.gradient * v.gradient).sum(0)
        + second[2] * v.gradient.square().sum(0)
    )
    return Jet(value, gradient, laplacian)


def nested(function: Callable[[Tensor], Tensor], points: Tensor) -> Jet:
    """Return the jet of a function (n, d) → (n,) by nested reverse differentiation: slow and obvious.

    Differentiable with respect to whatever else the function depends on.

    Args:
        function: twice differentiable by torch.
        points: (n, d).

    Returns:
        value (n,), gradient (d, n), Laplacian (n,).
    """
    x = points.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        value = function(x)
        if not value.requires_grad:
            return Jet(value, torch.zeros_like(x.T), torch.zeros_like(value))
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        laplacian = torch.zeros_like(value)
        for k in range(x.shape[1]):
            if gradient.requires_grad:
                (row,) = torch.autograd.grad(
                    gradient[:, k].sum(), x, create_graph=True, allow_unused=True, materialize_grads=True
                )
                laplacian = laplacian + row[:, k]
    return Jet(value, gradient.T, laplacian)
