"""The product layer as one differentiable operator that recomputes instead of remembering.

Plain autograd keeps about six tensors of shape (n, D, R) per layer for the backward pass. Here only the
inputs x (n, d) are kept, together with z for the short blocks in which the training loop works; the backward
pass goes through the points in blocks that stay in cache, recomputes z and the factors, and forms
df_j = dphi prod_{k != j} f_k from prefix and suffix products, without division: a factor may be 0.
The elementwise part runs in machine code (`native`) where that is at hand, else in in-place tensor code.

Inside, the bias belongs to the phase: w (W x + b) + c = w z + c' with z = W x, c' = c + w b, which spares a
pass over (n, D, R) numbers; dw and db follow from the gradients by w and c' at fixed z.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrnn_cli.kernels import native
from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.kernels.precision import Precision, add_product_, product_into

# Of one (block, D, R) tensor. Tensor code passes over it many times, so that it has to stay in the
# second-level cache; machine code passes once, and longer blocks spare calls.
BLOCK_BYTES = {"tensors": 2**19, "machine code": 2**22}
KEEP_BYTES = 2**24  # z is kept for the backward pass up to this size, recomputed beyond


@dataclass(frozen=True)
class Product:
    """What the operator needs besides tensors: sigma, the constants of the formula, the compiled kernel."""

    family: str
    gamma: float
    offset: float
    centre: float
    library: ctypes.CDLL | None
    backward: Precision = "full"  # of the matrix products of the backward pass

    def forward(self, z: Tensor, components: list[Tensor], phi: Tensor) -> None:
        """Write phi (n, R) of z (n, D, R)."""
        if self.library is not None:
            native.forward(self.library, z, components, phi, **self._constants())
            return
        family = FAMILIES[self.family]
        factors = torch.zeros_like(z)
        for a, w, c in zip(*components, strict=True):
            factors.addcmul_(a, family.value(torch.addcmul(c, w, z)).sub_(self.centre))
        factors.mul_(self.gamma).add_(self.offset)
        phi.fill_(1.0)
        for factor in factors.unbind(1):
            phi.mul_(factor)

    def backward_(self, z: Tensor, components: list[Tensor], dphi: Tensor, sums: list[Tensor]) -> None:
        """Overwrite z by dz; add to sums = [da, dw, dc], each (M, D, R)."""
        if self.library is not None:
            native.backward_(self.library, z, components, dphi, sums, **self._constants())
            return
        acts = []  # per component: value and slope of sigma
        factors = torch.zeros_like(z)
        for a, w, c in zip(*components, strict=True):
            value, slope = FAMILIES[self.family].value_and_slope(torch.addcmul(c, w, z))
            acts.append((value.sub_(self.centre), slope))
            factors.addcmul_(a, value)
        factors.mul_(self.gamma).add_(self.offset)
        dg = torch.empty_like(z)  # dphi gamma prod_{k != j} f_k: prefix products, then times suffix products
        running = dphi * self.gamma
        for j, factor in enumerate(factors.unbind(1)):
            dg[:, j] = running
            running.mul_(factor)
        running.fill_(1.0)
        for j in reversed(range(z.shape[1])):
            dg[:, j].mul_(running)
            running.mul_(factors[:, j])
        da, dw, dc = sums
        dz = torch.zeros_like(z)
        for m, (value, slope) in enumerate(acts):
            da[m] += value.mul_(dg).sum(0)
            du = slope.mul_(dg).mul_(components[0][m])
            dc[m] += du.sum(0)
            dz.addcmul_(du, components[1][m])
            dw[m] += du.mul_(z).sum(0)
        z.copy_(dz)

    def block_points(self, weight: Tensor) -> int:
        """Return how many points to work on at once, for W of shape (D, R, d)."""
        size = BLOCK_BYTES["tensors" if self.library is None else "machine code"]
        return max(32, size // (weight[..., 0].numel() * weight.element_size()))

    def _constants(self) -> dict[str, Any]:
        return {"family": self.family, "gamma": self.gamma, "offset": self.offset, "centre": self.centre}


def _project(x: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """Compute z = W x, (n, D, R), into memory of that shape, which the caller may overwrite later."""
    torch.mm(x, weight.flatten(0, 1).T, out=out.flatten(1))
    return out


class _ProductLayer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        amplitude: Tensor,
        frequency: Tensor,
        phase: Tensor,
        product: Product,
    ) -> Tensor:
        components = [t.contiguous() for t in (amplitude, frequency, torch.addcmul(phase, frequency, bias))]
        n, block = x.shape[0], product.block_points(weight)
        needs_grad = any(ctx.needs_input_grad)
        keep = needs_grad and n * bias.numel() * x.element_size() <= KEEP_BYTES
        z = x.new_empty(n if keep else min(n, block), *bias.shape)
        phi = x.new_empty(n, bias.shape[1])
        for start in range(0, n, block):
            rows = slice(start, min(start + block, n))
            part = z[rows] if keep else z[: rows.stop - start]
            product.forward(_project(x[rows], weight, part), components, phi[rows])
        ctx.product, ctx.z_is_spent = product, False
        ctx.save_for_backward(x, weight, bias, *components, z if keep else None)
        return phi

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dphi: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, *components, z = ctx.saved_tensors
        if ctx.z_is_spent:  # overwritten below by an earlier backward pass over a retained graph
            z = None
        ctx.z_is_spent = True
        matrix = weight.flatten(0, 1)  # (D R, d)
        sums = [torch.zeros_like(components[0]) for _ in range(3)]
        dweight = matrix.new_zeros(x.shape[1], matrix.shape[0])  # transposed: the faster product
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        n, block = x.shape[0], ctx.product.block_points(weight)
        dphi = dphi.contiguous()
        scratch = x.new_empty(min(n, block), *bias.shape) if z is None else None
        for start in range(0, n, block):
            rows = slice(start, min(start + block, n))
            if scratch is None:
                dz = z.data[rows]
            else:
                dz = _project(x[rows], weight, scratch[: rows.stop - start])
            ctx.product.backward_(dz, components, dphi[rows], sums)
            flat = dz.flatten(1)
            add_product_(dweight, x[rows].T, flat, ctx.product.backward)
            if dx is not None:
                product_into(dx[rows], flat, matrix, ctx.product.backward)
        da, dw, dc = sums
        db = (components[1] * dc).sum(0)
        return dx, dweight.T.contiguous().view_as(weight), db, da, dw.addcmul_(dc, bias), dc, None


def product_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    amplitude: Tensor,
    frequency: Tensor,
    phase: Tensor,
    *,
    product: Product,
) -> Tensor:
    """Same meaning and shapes as `reference.product_layer`; differentiable once.

    Args:
        x: points, (n, d).
        weight: W, (D, R, d).
        bias: b, (D, R).
        amplitude: a, (M, D, R).
        frequency: w, (M, D, R).
        phase: c, (M, D, R).
        product: sigma, gamma, offset and the compiled kernel, from `dispatch`.

    Returns:
        phi, (n, R).
    """
    return _ProductLayer.apply(x, weight, bias, amplitude, frequency, phase, product)
