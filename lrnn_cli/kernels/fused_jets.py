"""Value, gradient and Laplacian of the product layer in one differentiable operator that recomputes.

z = W x + b is linear, so that grad z_k = W grad_k x and lap z = W lap x. The factors f = offset + gamma g(z)
have f' = gamma sum_m a_m w_m sigma'(u_m) and f'' = gamma sum_m a_m w_m^2 sigma''(u_m), u_m = w_m z + c_m.
Taking in one factor after the other, with p, P_k and q the product so far, its gradient and its Laplacian,

    q   <- q f + p (f' lap z + f'' |grad z|^2) + 2 sum_k P_k f' grad_k z,
    P_k <- P_k f + p f' grad_k z,
    p   <- p f,

which costs O(D m) numbers per point and neuron and no division: a factor may be 0. The backward pass goes the
same steps back. With k_0, k_1, k_2 the derivatives by g, g', g'' it then has, per component,

    t_m = a_m (k_0 sigma' + k_1 w_m sigma'' + k_2 w_m^2 sigma'''),    dz = sum_m w_m t_m,    dc_m = sum_n t_m,
    dw_m = sum_n (z t_m + a_m (k_1 sigma' + 2 k_2 w_m sigma'')),
    da_m = sum_n (k_0 (sigma - centre) + k_1 w_m sigma' + k_2 w_m^2 sigma'').

Only the layer's inputs are kept; both passes go through the points in blocks that stay in cache. All that is
elementwise runs, in double precision, in machine code on the CPU where there is a compiler
(`native_jets.c`), in Triton kernels on a GPU (`triton_jets_code.py`), else in tensor code. What is the same
at all points, as the gradient of scaled coordinates is, may be given expanded: one row of it is worked on.

Shapes: n points, d inputs, D factors, R neurons, M components, m coordinates; what has one row in place of n
is written (n|1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrnn_cli.kernels.families import FAMILIES

# Of one (block, D, R) tensor of tensor code, which has some ten of them in use at once: they stay in cache on
# a CPU; a GPU wants many points at a time.
CPU_BLOCK_BYTES, GPU_BLOCK_BYTES = 2**19, 2**27


class Elementwise(Protocol):
    """A module that has the elementwise part: `native_jets`, `triton_jets`."""

    BLOCK_BYTES: int

    def supports(self, family: str, dtype: torch.dtype, device: torch.device) -> bool:
        """Tell whether it has this family, precision and device."""

    def forward(
        self, z: Tensor, along: Tensor, bend: Tensor, components: list[Tensor], out: list[Tensor],
        *, family: str, constants: Sequence[float],
    ) -> None:  # fmt: skip
        """Write value, gradient and Laplacian as `JetProduct.forward` does."""

    def backward_(
        self, z: Tensor, along: Tensor, bend: Tensor, components: list[Tensor], by: list[Tensor],
        sums: list[Tensor], *, family: str, constants: Sequence[float],
    ) -> None:  # fmt: skip
        """Overwrite z and add to sums as `JetProduct.backward_` does."""


@dataclass(frozen=True)
class JetProduct:
    """What the operator needs besides tensors: sigma, the constants of the formula, what has the kernels."""

    family: str
    gamma: float
    offset: float
    centre: float
    code: Elementwise | None

    def forward(
        self, z: Tensor, along: Tensor, bend: Tensor, components: list[Tensor], out: list[Tensor]
    ) -> None:
        """Write value (n, R), gradient (m, n, R) and Laplacian (n, R) of the products.

        Args:
            z: (n, D, R).
            along: grad z (m, n|1, D, R).
            bend: Laplacian of z (n|1, D, R).
            components: a, w, c, (M, D, R) each.
            out: the three results.
        """
        if self.code is not None:
            self.code.forward(z, along, bend, components, out, family=self.family, constants=self.constants)
            return
        value, gradient, laplacian = out
        value.fill_(1.0)
        gradient.zero_()
        laplacian.zero_()
        for f, steps, own in _steps(self._factors(z, components)[0], along, bend):
            cross = (gradient * steps).sum(0)
            laplacian.mul_(f).addcmul_(value, own).add_(cross, alpha=2.0)
            gradient.mul_(f).addcmul_(value, steps)
            value.mul_(f)

    def backward_(
        self,
        z: Tensor,
        along: Tensor,
        bend: Tensor,
        components: list[Tensor],
        by: list[Tensor],
        sums: list[Tensor],
    ) -> None:
        """Overwrite z by dz; add to sums the derivatives by grad z, lap z, a, w and c.

        Args:
            z: (n, D, R).
            along: grad z (m, n|1, D, R).
            bend: Laplacian of z (n|1, D, R).
            components: a, w, c, (M, D, R) each.
            by: derivatives by the value (n, R), the gradient (m, n, R) and the Laplacian (n, R).
            sums: of the shapes of `along`, `bend` and the components; what has one row, a sum over points.
        """
        if self.code is not None:
            self.code.backward_(
                z, along, bend, components, by, sums, family=self.family, constants=self.constants
            )
            return
        factors, acts = self._factors(z, components)
        k0, k1, k2 = (
            t.mul_(self.gamma) for t in _product_backward(factors, along, bend, by, sums[0], sums[1])
        )
        da, dw, dc = sums[2:]
        dz = torch.zeros_like(z)
        for m, (value, slope, second, third) in enumerate(acts):
            a, w = components[0][m], components[1][m]
            turned, bent = k1 * w, k2 * (w * w)
            da[m] += value.mul_(k0).addcmul_(turned, slope).addcmul_(bent, second).sum(0)
            direct = (k1 * slope).addcmul_(k2 * second, w, value=2.0).sum(0)  # w as a factor of f' and f''
            t = slope.mul_(k0).addcmul_(turned, second).addcmul_(bent, third).mul_(a)
            dc[m] += t.sum(0)
            dz.addcmul_(t, w)
            dw[m] += t.mul_(z).sum(0).addcmul_(a, direct)
        z.copy_(dz)

    def block_points(self, weight: Tensor) -> int:
        """Return how many points to work on at once, for W of shape (D, R, d)."""
        size = CPU_BLOCK_BYTES if weight.device.type == "cpu" else GPU_BLOCK_BYTES
        if self.code is not None:
            size = self.code.BLOCK_BYTES
        return max(16, size // (weight[..., 0].numel() * weight.element_size()))

    @property
    def constants(self) -> tuple[float, float, float]:
        """Gamma, offset and centre."""
        return self.gamma, self.offset, self.centre

    def _factors(self, z: Tensor, components: list[Tensor]) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return f, f', f'' (n, D, R), and per component sigma - centre and its three derivatives."""
        to_third = FAMILIES[self.family].to_third
        assert to_third is not None, self.family  # `dispatch` sends no other family here
        sums, acts = [torch.zeros_like(z) for _ in range(3)], []
        for a, w, c in zip(*components, strict=True):
            act = list(to_third(torch.addcmul(c, w, z)))
            act[0].sub_(self.centre)
            scale = a
            for total, part in zip(sums, act, strict=False):
                total.addcmul_(scale, part)
                scale = scale * w
            acts.append(act)
        for total in sums:
            total.mul_(self.gamma)
        sums[0].add_(self.offset)
        return sums, acts


def _steps(factors: list[Tensor], along: Tensor, bend: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return per factor f (n, R), its gradient (m, n, R) and its Laplacian (n, R)."""
    squared = along.square().sum(0)
    return [
        (
            factors[0][:, j],
            factors[1][:, j] * along[:, :, j],
            (factors[1][:, j] * bend[:, j]).addcmul_(factors[2][:, j], squared[:, j]),
        )
        for j in range(factors[0].shape[1])
    ]


def _product_backward(
    factors: list[Tensor], along: Tensor, bend: Tensor, by: list[Tensor], dalong: Tensor, dbend: Tensor
) -> list[Tensor]:
    """Return the derivatives by f, f', f'' (n, D, R); add those by grad z and lap z to dalong and dbend."""
    by_p, by_gradient, by_q = by
    p, gradient, q = torch.ones_like(by_p), torch.zeros_like(by_gradient), torch.zeros_like(by_q)
    kept = []  # before each factor
    for f, steps, own in _steps(factors, along, bend):
        kept.append((f, steps, own, p, gradient, q))
        q = (q * f).addcmul_(p, own).add_((gradient * steps).sum(0), alpha=2.0)
        gradient = (gradient * f).addcmul_(p, steps)
        p = p * f
    squared = along.square().sum(0)
    found = [torch.empty_like(f) for f in factors]
    for j in reversed(range(len(kept))):
        f, steps, own, p, gradient, q = kept[j]
        f1, f2 = factors[1][:, j], factors[2][:, j]
        by_own = by_q * p
        by_steps = torch.addcmul(by_gradient * p, by_q, gradient, value=2.0)
        found[0][:, j] = (by_p * p).addcmul_(by_q, q).add_((by_gradient * gradient).sum(0))
        found[1][:, j] = (by_steps * along[:, :, j]).sum(0).addcmul_(by_own, bend[:, j])
        found[2][:, j] = by_own * squared[:, j]
        _add_rows(dalong[:, :, j], torch.addcmul(by_steps * f1, by_own * f2, along[:, :, j], value=2.0))
        _add_rows(dbend[:, j], by_own * f1)
        by_p = (by_p * f).addcmul_(by_q, own).add_((by_gradient * steps).sum(0))
        by_gradient = (by_gradient * f).addcmul_(by_q, steps, value=2.0)
        by_q = by_q * f
    return found


def _add_rows(total: Tensor, part: Tensor) -> None:
    """Add (…, n, R) to a total (…, n|1, R)."""
    total += part if total.shape[-2] == part.shape[-2] else part.sum(-2, keepdim=True)


class _Inputs:
    """x, grad x and lap x with what they become under W; one row stands for n equal ones."""

    def __init__(self, parts: tuple[Tensor, Tensor, Tensor], weight: Tensor, *, shorten: bool) -> None:
        self.x, gradient, laplacian = parts
        single = shorten and len(self.x) > 1
        self.gradient = gradient[:, :1] if single and gradient.stride(1) == 0 else gradient
        self.laplacian = laplacian[:1] if single and laplacian.stride(0) == 0 else laplacian
        self.weight = weight

    def block(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, grad x and lap x of some points, one row where all are equal."""
        gradient = self.gradient if self.constant_gradient else self.gradient[:, rows]
        laplacian = self.laplacian if self.constant_laplacian else self.laplacian[rows]
        return self.x[rows], gradient, laplacian

    @property
    def constant_gradient(self) -> bool:
        return self.gradient.shape[1] != len(self.x)

    @property
    def constant_laplacian(self) -> bool:
        return len(self.laplacian) != len(self.x)

    def project(self, part: Tensor) -> Tensor:
        """Return W of the last axis, (…, D, R)."""
        flat = part.reshape(-1, part.shape[-1]) @ self.weight.flatten(0, 1).T
        return flat.view(*part.shape[:-1], *self.weight.shape[:2])


class _ProductJets(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gradient: Tensor, laplacian: Tensor, weight: Tensor, bias: Tensor,
        amplitude: Tensor, frequency: Tensor, phase: Tensor, product: JetProduct,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        components = [t.contiguous() for t in (amplitude, frequency, torch.addcmul(phase, frequency, bias))]
        inputs = _Inputs((x, gradient, laplacian), weight, shorten=not any(ctx.needs_input_grad[:3]))
        n, rank = len(x), weight.shape[1]
        value, out_laplacian = x.new_empty(n, rank), x.new_empty(n, rank)
        out_gradient = x.new_empty(len(gradient), n, rank)
        for rows in _blocks(n, product.block_points(weight)):
            z, along, bend = (inputs.project(part) for part in inputs.block(rows))
            out = [value[rows], out_gradient[:, rows], out_laplacian[rows]]
            product.forward(z, along, bend, components, out)
        ctx.product = product
        ctx.save_for_backward(x, gradient, laplacian, weight, bias, *components)
        return value, out_gradient, out_laplacian

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, by_value: Tensor, by_gradient: Tensor, by_laplacian: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, gradient, laplacian, weight, bias, *components = ctx.saved_tensors
        product: JetProduct = ctx.product
        wanted = any(ctx.needs_input_grad[:3])
        inputs = _Inputs((x, gradient, laplacian), weight, shorten=not wanted)
        matrix = weight.flatten(0, 1)  # (D R, d)
        sums = [torch.zeros_like(components[0]) for _ in range(3)]
        dweight = torch.zeros_like(matrix)
        found = [torch.empty_like(t) for t in (x, gradient, laplacian)] if wanted else None
        by_value, by_laplacian = by_value.contiguous(), by_laplacian.contiguous()
        by_gradient = by_gradient.contiguous()
        for rows in _blocks(len(x), product.block_points(weight)):
            parts = inputs.block(rows)
            z, along, bend = (inputs.project(part) for part in parts)
            by = [by_value[rows], by_gradient[:, rows], by_laplacian[rows]]
            dalong, dbend = torch.zeros_like(along), torch.zeros_like(bend)
            product.backward_(z, along, bend, components, by, [dalong, dbend, *sums])
            for part, dz in zip(parts, (z, dalong, dbend), strict=True):
                dweight.addmm_(dz.reshape(-1, len(matrix)).T, part.reshape(-1, part.shape[-1]))
            if found is not None:
                found[0][rows] = z.flatten(1) @ matrix
                found[1][:, rows] = dalong.flatten(2) @ matrix
                found[2][rows] = dbend.flatten(1) @ matrix
        da, dw, dc = sums
        db = (components[1] * dc).sum(0)
        first = found or (None, None, None)
        return *first, dweight.view_as(weight), db, da, dw.addcmul_(dc, bias), dc, None


def _blocks(n: int, block: int) -> list[slice]:
    return [slice(start, min(start + block, n)) for start in range(0, n, block)]


def product_layer_jets(
    x: tuple[Tensor, Tensor, Tensor],
    weight: Tensor,
    bias: Tensor,
    amplitude: Tensor,
    frequency: Tensor,
    phase: Tensor,
    *,
    product: JetProduct,
) -> tuple[Tensor, Tensor, Tensor]:
    """Evaluate phi of `reference.product_layer` with its gradient and Laplacian; differentiable once.

    Args:
        x: inputs of the layer as functions of m coordinates: value (n, d), gradient (m, n, d) and
            Laplacian (n, d).
        weight: W, (D, R, d).
        bias: b, (D, R).
        amplitude: a, (M, D, R).
        frequency: w, (M, D, R).
        phase: c, (M, D, R).
        product: sigma, gamma, offset and what has the kernels, from `dispatch`.

    Returns:
        phi (n, R), its gradient (m, n, R) and its Laplacian (n, R).
    """
    return _ProductJets.apply(*x, weight, bias, amplitude, frequency, phase, product)
