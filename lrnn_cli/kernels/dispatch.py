"""The one place that chooses an engine for the product layer, and says which and why.

reference  obvious tensor code, any precision, differentiable any number of times (`reference.py`)
fused      recomputing operator in cache-sized blocks, in-place tensor code, any device (`fused.py`)
compiled   the same with the elementwise part in machine code, float32 on the CPU (`native.c`)
triton     kernels for NVIDIA GPUs, float32 (`triton.py`)
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.kernels import fused, native, reference, triton
from lrnn_cli.kernels.precision import Precision

ENGINES = ("auto", "reference", "fused", "compiled", "triton")


@dataclass(frozen=True)
class Engine:
    """The engine in use and the reason for the choice, as written to metrics.json."""

    name: str
    reason: str


def choose_engine(
    asked: str, *, family: str, dtype: torch.dtype, device: torch.device, long_run: bool = True
) -> Engine:
    """Resolve `auto` for a family, precision and device.

    Args:
        asked: one of `ENGINES`.
        family: sigma of the component functions.
        dtype: precision of the layer.
        device: where it runs.
        long_run: whether the run lasts long enough to pay for compiling (a few seconds, once per machine).

    Returns:
        the engine and why.

    Raises:
        ConfigError: when the engine is unknown, or asked for by name and not possible here.
    """
    if asked not in ENGINES:
        raise ConfigError(f"engine: expected one of {', '.join(ENGINES)}, got {asked!r}")
    if asked in ("reference", "fused"):
        return Engine(asked, "asked for")
    if asked == "triton" or (asked == "auto" and device.type == "cuda"):
        return _choose_triton(asked, family, dtype, device)
    if not native.supports(family, dtype, device):
        obstacle = (
            f"the compiled kernel has no {family!r} in {str(dtype).removeprefix('torch.')} on {device.type}"
        )
    elif native.compiler() is None:
        obstacle = "no C compiler on this machine"
    elif asked == "auto" and not long_run and not native.is_built():
        obstacle = "too short a run to pay for compiling"
    elif native.load() is None:
        obstacle = "compiling or loading native.c failed on this machine"
    else:
        return Engine("compiled", "asked for" if asked == "compiled" else f"machine code for {device.type}")
    if asked == "compiled":
        raise ConfigError(f"engine compiled: {obstacle}; use --engine auto")
    return Engine("fused", obstacle)


def _choose_triton(asked: str, family: str, dtype: torch.dtype, device: torch.device) -> Engine:
    obstacle = triton.obstacle(family, dtype, device)
    if obstacle is None:
        return Engine("triton", "asked for" if asked == "triton" else f"Triton kernels on {device.type}")
    if asked == "triton":
        raise ConfigError(f"engine triton: {obstacle}; use --engine auto")
    return Engine("fused", obstacle)


def product_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    amplitude: Tensor,
    frequency: Tensor,
    phase: Tensor,
    *,
    family: str,
    gamma: float,
    offset: float,
    centre: float,
    engine: str,
    backward: Precision = "full",
) -> Tensor:
    """Evaluate the product layer with the chosen engine; `reference.product_layer` states the formula.

    Args:
        x: points, (n, d).
        weight: W, (D, R, d).
        bias: b, (D, R).
        amplitude: a, (M, D, R).
        frequency: w, (M, D, R).
        phase: c, (M, D, R).
        family: name of sigma.
        gamma: scale of the component functions.
        offset: 1, or 0 for the plain product of the g.
        centre: constant subtracted from sigma.
        engine: a name resolved by `choose_engine`, not `auto`.
        backward: precision of the matrix products of the backward pass; for `reference` always that of x.

    Returns:
        phi, (n, R).
    """
    tensors = (x, weight, bias, amplitude, frequency, phase)
    constants: dict[str, Any] = {"family": family, "gamma": gamma, "offset": offset, "centre": centre}
    if engine == "reference":
        return reference.product_layer(*tensors, **constants)
    if engine == "triton" and triton.supports(family, x.dtype, x.device):
        return triton.product_layer(*tensors, **constants, backward=backward)
    compiled = engine == "compiled" and native.supports(family, x.dtype, x.device)
    product = fused.Product(family, gamma, offset, centre, native.load() if compiled else None, backward)
    return fused.product_layer(*tensors, product=product)
