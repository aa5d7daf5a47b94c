"""Calling `native_nadam.c`: a step of NAdam in machine code, single precision on the CPU."""

import ctypes
from pathlib import Path

from torch import Tensor

from lrnn_cli.kernels import native

SOURCE = Path(__file__).with_name("native_nadam.c")


def load() -> ctypes.CDLL | None:
    """Compile if needed (some tenth of a second) and load the kernel; None where it cannot be had."""
    return native.load(SOURCE)


def supports(*tensors: Tensor) -> bool:
    """Tell whether the kernel takes these: of one shape, float32 on the CPU, without gaps."""
    return all(
        native.is_float_on_cpu(t.dtype, t.device) and t.is_contiguous() and t.shape == tensors[0].shape
        for t in tensors
    )


def update_(
    library: ctypes.CDLL,
    weight: Tensor,
    gradient: Tensor,
    moments: tuple[Tensor, Tensor],
    *,
    betas: tuple[float, float],
    correction2: float,
    eps: float,
    by_gradient: float,
    by_moment: float,
) -> None:
    """Change weights and moments by one step.

    Args:
        library: from `load`.
        weight: p, any shape.
        gradient: g, the same.
        moments: m and v, the same.
        betas: how much of m and v is kept.
        correction2: 1 - beta2^t.
        eps: added to the root.
        by_gradient: rate of g.
        by_moment: rate of m.
    """
    beta1, beta2 = betas
    constants = (beta2, 1.0 - beta1, 1.0 - beta2, correction2, eps, by_gradient, by_moment)
    library.lrnn_nadam(
        ctypes.c_long(weight.numel()),
        (ctypes.c_float * len(constants))(*constants),
        *map(native.pointer, (gradient, weight, *moments)),
    )
