"""LayerNorm of the rows of a matrix, by the engine of the product layer before it.

torch's own operator takes a tenth of a step of LRNN in the blocks of the training loop on the CPU, and a
quarter on a GPU, where it is made for longer rows; machine code (`native.c`) and Triton less.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrnn_cli.kernels import native, triton
from lrnn_cli.numerics.taylor import Taylor


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, compiled: bool) -> Tensor:
        x = x.contiguous()
        ctx.library = native.load() if compiled else None
        if compiled:
            y, moments = native.norm_forward(ctx.library, x, weight, bias, eps)
        else:
            y, moments = triton.norm_forward(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, moments)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, moments = ctx.saved_tensors
        if ctx.library is not None:
            gradients = native.norm_backward(ctx.library, x, weight, moments, dy.contiguous())
        else:
            gradients = triton.norm_backward(x, weight, moments, dy.contiguous())
        return *gradients, None, None


def _alike(x: Tensor, weight: Tensor, bias: Tensor) -> bool:
    """Tell whether kernels, which read memory as they are told, may be given these; torch judges others."""
    same = all(t.dtype == x.dtype and t.device == x.device for t in (weight, bias))
    return same and x.dim() == 2 and weight.shape == bias.shape == x.shape[1:]


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float, engine: str) -> Tensor:
    """Return weight (x - mean) / (variance + eps)^(1/2) + bias, mean and variance over each row.

    Args:
        x: (n, R), or a `Taylor` of that.
        weight: (R,).
        bias: (R,).
        eps: added to the variance.
        engine: a name resolved by `dispatch.choose_engine`; `reference` and `fused` take torch's operator.

    Returns:
        the normalised rows, (n, R); with `compiled` and `triton`, in float32, differentiable once. Where
        these have no kernel for the precision, the device or the width of all three, torch's operator.
    """
    if isinstance(x, Taylor):  # by its rules
        return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps)
    compiled = engine == "compiled" and native.is_float_on_cpu(x.dtype, x.device)
    if _alike(x, weight, bias) and (compiled or (engine == "triton" and triton.can_norm(x))):
        return _LayerNorm.apply(x, weight.contiguous(), bias.contiguous(), eps, compiled)
    return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps)
