"""Derivatives of rows of sine product neurons by their weights, in closed form.

A row of neuron φ = ∏_j h_j, h_j = 1 + v_j sin z_j, z_j = a_j·x + b_j, is L = α Δφ + β·∇φ + κ φ. Taking in one
factor after the other, with m_j = β·a_j, G_ij = a_i·a_j and the partial products e_i of `calculus`,

    L ← h_j L + p (α h''_j G_jj + h'_j m_j) + 2 α h'_j Σ_{i<j} e_i G_ij,    L = κ before the first factor.

The same steps backwards give ∂L/∂h_j, ∂L/∂h'_j, ∂L/∂h''_j, ∂L/∂m_j and ∂L/∂G_ij, O(D²) numbers per row and
neuron, and from these with z_j, m_j and G_ij as functions of a_j

    ∂L/∂a_j = x ∂L/∂z_j + β ∂L/∂m_j + 2 a_j ∂L/∂G_jj + Σ_{i≠j} a_i ∂L/∂G_ij.

No division, and no graph of a differentiation.

Shapes: D factors, r neurons, d coordinates, n rows; weight (D, r, d), bias (D, r), amplitude (D, 1, r).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrnn_cli.numerics.rows import Rows


def product_jacobian(
    weight: Tensor, bias: Tensor, amplitude: Tensor, rows: Rows, head: Tensor, result: Tensor
) -> None:
    """Write the derivatives of Σ_ℓ S_ℓ L_ℓ at all rows by a, b, v and S.

    Args:
        weight: a (D, r, d).
        bias: b (D, r).
        amplitude: v (D, 1, r).
        rows: points and coefficients; a few hundred at a time, so that all stays in the cache.
        head: S (r,).
        result: (n, D r (d + 2) + r), filled: by a in the order (d, D, r), by b and by v (D, r) each; the last
            r columns, the derivatives by S, are the values L_ℓ themselves.
    """
    n_factors, rank, d = weight.shape
    n, size = len(rows), n_factors * rank
    sweep = _Sweep(weight, bias, amplitude, rows)
    sweep.back(head.expand(n, rank))
    inner = result[:, : size * d].view(n, d, n_factors, rank)
    result[:, size * d : size * (d + 1)].view(n, n_factors, rank)[:] = torch.stack(sweep.by_z, 1)
    result[:, size * (d + 1) : size * (d + 2)].view(n, n_factors, rank)[:] = torch.stack(
        sweep.by_amplitude, 1
    )
    result[:, size * (d + 2) :] = sweep.values[-1]
    for j in range(n_factors):
        for k in range(d):
            column = rows.points[:, k : k + 1] * sweep.by_z[j]
            column.addcmul_(rows.first[:, k : k + 1], sweep.by_along[j])
            for i in range(n_factors):
                column.addcmul_(sweep.by_gram[min(i, j), max(i, j)], weight[i, :, k])
            inner[:, k, j] = column


class _Sweep:
    """The recurrence forwards, `values[-1]` being L (n, r), and backwards.

    by_z, by_amplitude, by_along: per factor (n, r). by_gram: (n, r) for i ≤ j, that of G_jj doubled.
    """

    def __init__(self, weight: Tensor, bias: Tensor, amplitude: Tensor, rows: Rows) -> None:
        turned = weight.transpose(1, 2)
        z = torch.matmul(rows.points, turned) + bias[:, None]
        self.sine, self.cosine = z.sin(), z.cos()
        self.bend = amplitude * self.sine  # -h''
        self.h, self.slope = 1.0 + self.bend, amplitude * self.cosine
        self.along = torch.matmul(rows.first, turned)
        self.gram = torch.einsum("jrd,krd->jkr", weight, weight)
        self.alpha = rows.second[:, None]
        ones = torch.ones_like(self.sine[0])
        self.products, self.values = [ones], [rows.zeroth[:, None] * ones]
        self.partials: list[list[Tensor]] = [[]]
        self.crosses: list[Tensor] = []
        self.own: list[Tensor] = []  # α h'' G_jj + h' m_j
        for j, h in enumerate(self.h):
            product, partial, slope = self.products[-1], self.partials[-1], self.slope[j]
            cross = torch.zeros_like(ones)
            for i, e in enumerate(partial):
                cross.addcmul_(e, self.gram[i, j])
            cross.mul_(2.0 * self.alpha)
            own = slope * self.along[j] - self.alpha * self.gram[j, j] * self.bend[j]
            self.values.append((h * self.values[-1]).addcmul_(product, own).addcmul_(slope, cross))
            self.own.append(own)
            self.crosses.append(cross)
            self.products.append(h * product)
            self.partials.append([*(h * e for e in partial), slope * product])

    def back(self, by_value: Tensor) -> None:
        """Find the derivatives of Σ by_value · L, by_value (n, r)."""
        n_factors = len(self.h)
        by_product = torch.zeros_like(self.values[0])
        by_partial = [torch.zeros_like(by_product) for _ in range(n_factors)]
        self.by_gram: dict[tuple[int, int], Tensor] = {}
        self.by_z: list[Tensor] = []
        self.by_amplitude: list[Tensor] = []
        self.by_along: list[Tensor] = []
        for j in reversed(range(n_factors)):
            h, slope, bend = self.h[j], self.slope[j], self.bend[j]
            product, partial = self.products[j], self.partials[j]
            scaled = by_value * self.alpha
            by_h = by_value * self.values[j]
            by_h.addcmul_(by_product, product)
            for e, adjoint in zip(partial, by_partial, strict=False):
                by_h.addcmul_(adjoint, e)
            by_slope = by_value * self.crosses[j]
            by_slope.addcmul_(torch.addcmul(by_partial[j], by_value, self.along[j]), product)
            bent = scaled * product
            by_sine = by_h.addcmul_(bent, self.gram[j, j], value=-1.0)  # through h and h'' = 1 - h
            # h = 1 + v sin z, h' = v cos z
            self.by_z.append((slope * by_sine).addcmul_(bend, by_slope, value=-1.0))
            self.by_amplitude.append((self.sine[j] * by_sine).addcmul_(self.cosine[j], by_slope))
            self.by_along.append(by_value * slope * product)
            self.by_gram[j, j] = -2.0 * bent * bend
            twice = 2.0 * scaled * slope
            by_product = (by_product * h).addcmul_(by_partial[j], slope).addcmul_(by_value, self.own[j])
            for i, e in enumerate(partial):
                self.by_gram[i, j] = twice * e
                by_partial[i] = (by_partial[i] * h).addcmul_(twice, self.gram[i, j])
            by_value = by_value * h
        for part in (self.by_z, self.by_amplitude, self.by_along):
            part.reverse()
