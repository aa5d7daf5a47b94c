"""Matrix products of the backward pass in less than single precision, sums in single.

Only gradients are rounded, never values: a relative error of 2^-9 (bfloat16) or 2^-11 (tf32) of the factors
is far below the noise of a batch, until a fit is so good that it is not (`fitting.precision` decides).
"""

from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "tf32", "bfloat16"]


def _product(a: Tensor, b: Tensor, precision: Precision) -> Tensor:
    if precision == "tf32" and a.device.type == "cuda":
        allowed = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            return a @ b
        finally:
            torch.backends.cuda.matmul.allow_tf32 = allowed
    if precision == "bfloat16":
        return (a.bfloat16() @ b.bfloat16()).to(a.dtype)
    return a @ b


def add_product_(total: Tensor, a: Tensor, b: Tensor, precision: Precision) -> None:
    """Add a @ b, (m, k) by (k, n), to a total (m, n)."""
    if precision == "float32":
        total.addmm_(a, b)
    else:
        total.add_(_product(a, b, precision))


def product_into(out: Tensor, a: Tensor, b: Tensor, precision: Precision) -> None:
    """Overwrite out (m, n) by a @ b, (m, k) by (k, n)."""
    if precision == "float32":
        torch.mm(a, b, out=out)
    else:
        out.copy_(_product(a, b, precision))
