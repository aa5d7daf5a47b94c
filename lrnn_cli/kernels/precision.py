"""Matrix products of the backward pass in less than single precision, sums in single.

Only gradients are rounded, never values: a relative error of the factors of 2^-9 (bfloat16) or 2^-11 (tf32)
is far below the noise of a batch, until a fit is so good that it is not; the training loop goes back to full
precision there.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError

Precision = Literal["full", "tf32", "bfloat16"]
CHOICES = ("auto", "full", "tf32", "bfloat16")
ENGINES = frozenset(
    {"fused", "compiled", "triton"}
)  # those that round the products of their backward pass when told to
PROCESSOR_FLAGS = frozenset(
    {"avx512_bf16", "amx_bf16"}
)  # of x86; without them bfloat16 is slower than float32
TENSOR_CORES = (8, 0)  # compute capability of GPUs with TF32


class Backward(NamedTuple):
    """The precision in use and the reason for the choice, as written to metrics.json."""

    name: Precision
    reason: str


@lru_cache
def processor_flags() -> frozenset[str]:
    """Return the instruction sets of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        word for line in lines if line.startswith(("flags", "Features")) for word in line.split()
    )


def _fast(device: torch.device) -> Precision | None:
    """Return the precision below single in which a device multiplies faster, None where there is none."""
    if device.type == "cuda":
        return "tf32" if torch.cuda.get_device_capability(device) >= TENSOR_CORES else None
    return "bfloat16" if PROCESSOR_FLAGS & processor_flags() else None


def choose_backward(asked: str, *, engine: str, dtype: torch.dtype, device: torch.device) -> Backward:
    """Resolve `auto` for an engine, precision and device.

    Args:
        asked: one of `CHOICES`.
        engine: as resolved by `dispatch.choose_engine`, or `torch` for models without product layers.
        dtype: precision of the model.
        device: where it runs.

    Returns:
        the precision and why.

    Raises:
        ConfigError: when it is unknown, or asked for by name and not possible here.
    """
    if asked not in CHOICES:
        raise ConfigError(f"backward: expected one of {', '.join(CHOICES)}, got {asked!r}")
    if asked == "full":
        return Backward("full", "asked for")
    obstacle = None
    if dtype != torch.float32:
        obstacle = f"the model is in {str(dtype).removeprefix('torch.')}"
    elif engine not in ENGINES:
        obstacle = f"engine {engine} multiplies in full precision only"
    elif asked == "tf32" and device.type != "cuda":
        obstacle = "tf32 is for GPUs"
    if asked != "auto":
        if obstacle is not None:
            raise ConfigError(f"backward {asked}: {obstacle}; use --backward auto")
        return Backward("tf32" if asked == "tf32" else "bfloat16", "asked for")
    fast = None if obstacle else _fast(device)
    if fast is None:
        return Backward("full", obstacle or f"no faster products on this {device.type}")
    return Backward(fast, f"faster on this {device.type}")


def product(a: Tensor, b: Tensor, precision: Precision) -> Tensor:
    """Return a @ b, (m, k) by (k, n)."""
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
    if precision == "full":
        total.addmm_(a, b)
    else:
        total.add_(product(a, b, precision))


def product_into(out: Tensor, a: Tensor, b: Tensor, precision: Precision) -> None:
    """Overwrite out (m, n) by a @ b, (m, k) by (k, n)."""
    if precision == "full":
        torch.mm(a, b, out=out)
    else:
        out.copy_(product(a, b, precision))
