"""LayerNorm of the rows of a matrix, by the engine of the product layer before it.

torch's own operator takes a tenth of a step of LRNN in the blocks of the training loop, machine code
(`native.c`) less.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrnn_cli.kernels import native


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        library = native.load()
        assert library is not None
        x = x.contiguous()
        y, moments = native.norm_forward(library, x, weight, bias, eps)
        ctx.library = library
        ctx.save_for_backward(x, weight, moments)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, moments = ctx.saved_tensors
        return *native.norm_backward(ctx.library, x, weight, moments, dy.contiguous()), None


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float, engine: str) -> Tensor:
    """Return weight (x - mean) / (variance + eps)^(1/2) + bias, mean and variance over each row.

    Args:
        x: (n, R).
        weight: (R,).
        bias: (R,).
        eps: added to the variance.
        engine: a name resolved by `dispatch.choose_engine`; all but `compiled` take torch's operator.

    Returns:
        the normalised rows, (n, R); with `compiled`, in float32 on the CPU, differentiable once.
    """
    if engine == "compiled" and native.is_float_on_cpu(x.dtype, x.device):
        return _LayerNorm.apply(x, weight, bias, eps)
    return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps)
