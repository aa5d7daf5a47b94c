"""Gradient and Laplacian of product neurons in closed form.

A product neuron is φ(x) = ∏_{j=1..D} h_j(z_j), z_j = a_j·x + b_j, a_j in R^d. With the partial products
e_j = h'_j ∏_{k≠j} h_k and the Gram entries G_jk = a_j·a_k,

    ∇φ = Σ_j e_j a_j,        β·∇φ = Σ_j e_j (β·a_j),
    Δφ = Σ_j h''_j G_jj ∏_{k≠j} h_k + 2 Σ_{j<k} h'_j h'_k G_jk ∏_{l≠j,k} h_l.

Taking in one factor after the other, with p the product so far and λ its Laplacian,

    λ ← h_j λ + p h''_j G_jj + 2 h'_j Σ_{i<j} e_i G_ij,
    e_i ← h_j e_i  (i < j),    e_j = p h'_j,    p ← h_j p.

That is O(D²) numbers per point and neuron whatever d is, and no division: factors may vanish.

In space and time the first coordinate is t, and the Laplacian is that of the others: G_jk is then the scalar
product over these (`n_time` = 1 below); ∇φ keeps ∂φ/∂t.

Shapes: D factors, r neurons, d coordinates, n points; weight (D, r, d), bias (D, r).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lrnn_cli.numerics.jets import Jet
from lrnn_cli.numerics.rows import Rows

Factors = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""z (D, n, r) → h, h', h'', each (D, n, r)."""


def sine_factors(amplitude: Tensor | float) -> Factors:
    """Return h(z) = 1 + v sin z and its derivatives; v is a number or (D, 1, r)."""

    def factors(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sine = amplitude * z.sin()
        return 1.0 + sine, amplitude * z.cos(), -sine

    return factors


def combine_factors(
    h: Tensor, slope: Tensor, curvature: Tensor, gram: Tensor
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Return φ, the D partial products e_j and Δφ from the factors, by the recurrence above.

    Args:
        h: factors (D, n, r).
        slope: h' (D, n, r).
        curvature: h'' (D, n, r).
        gram: G (D, D, r), or per point (D, D, n, r); only G_ij with i ≤ j is used.

    Returns:
        φ (n, r), D arrays e_j (n, r), Δφ (n, r).
    """
    product, partial, laplacian = h[0], [slope[0]], curvature[0] * gram[0, 0]
    for j in range(1, len(h)):
        cross = partial[0] * gram[0, j]
        for i in range(1, j):
            cross = cross + partial[i] * gram[i, j]
        laplacian = h[j] * laplacian + product * (curvature[j] * gram[j, j]) + 2.0 * slope[j] * cross
        partial = [h[j] * e for e in partial] + [product * slope[j]]
        product = h[j] * product
    return product, partial, laplacian


def product_terms(
    weight: Tensor, bias: Tensor, factors: Factors, points: Tensor, n_time: int = 0
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Return φ (n, r), the D partial products e_j (n, r) each, and Δφ (n, r) at points (n, d)."""
    z = torch.matmul(points, weight.transpose(1, 2)) + bias[:, None]
    space = weight[..., n_time:]
    return combine_factors(*factors(z), torch.einsum("jrd,krd->jkr", space, space))


def product_rows(weight: Tensor, bias: Tensor, factors: Factors, rows: Rows, n_time: int = 0) -> Tensor:
    """Return α Δφ + β·∇φ + κ φ of all neurons at all rows, in closed form.

    Args:
        weight: a (D, r, d).
        bias: b (D, r).
        factors: the component functions with their derivatives.
        rows: points and coefficients (n rows).
        n_time: 1 where the first coordinate is time.

    Returns:
        (n, r), differentiable with respect to weight, bias and what `factors` holds.
    """
    product, partial, laplacian = product_terms(weight, bias, factors, rows.points, n_time)
    result = rows.second[:, None] * laplacian + rows.zeroth[:, None] * product
    for e, a in zip(partial, weight, strict=True):
        result = result + e * (rows.first @ a.T)
    return result


def product_jet(
    weight: Tensor, bias: Tensor, factors: Factors, points: Tensor, head: Tensor, n_time: int = 0
) -> Jet:
    """Return the jet of Σ_ℓ S_ℓ φ_ℓ at points (n, d), head S (r,): value, gradient (d, n) and Laplacian."""
    product, partial, laplacian = product_terms(weight, bias, factors, points, n_time)
    gradient = sum(e @ (a * head[:, None]) for e, a in zip(partial, weight, strict=True))
    assert isinstance(gradient, Tensor)
    return Jet(product @ head, gradient.T, laplacian @ head)
