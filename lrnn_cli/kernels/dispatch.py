"""The one place that chooses an engine for the product layer, and says which and why.

reference  obvious tensor code, any precision, differentiable any number of times (`reference.py`)
fused      recomputing operator in cache-sized blocks, in-place tensor code, any device (`fused.py`)
compiled   the same with the elementwise part in machine code, float32 on the CPU (`native.c`)
triton     kernels for NVIDIA GPUs, float32 (`triton.py`)

Equations ask for the gradient and the Laplacian of a layer, too: with a `Taylor` in the place of the points,
`fused`, `compiled` and `triton` mean the operator of `fused_jets.py`, the latter two in float64
(`native_jets.c`, `triton_jets.py`).
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from lrnn_cli.errors import ConfigError
from lrnn_cli.kernels import fused, fused_jets, native, native_jets, reference, triton, triton_jets
from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.kernels.precision import Precision
from lrnn_cli.numerics.taylor import Taylor

Points = TypeVar("Points", Tensor, Taylor)
ENGINES = ("auto", "reference", "fused", "compiled", "triton")


@dataclass(frozen=True)
class Engine:
    """The engine in use and the reason for the choice, as written to metrics.json."""

    name: str
    reason: str


def choose_engine(
    asked: str,
    *,
    family: str,
    dtype: torch.dtype,
    device: torch.device,
    long_run: bool = True,
    laplacian: bool = False,
) -> Engine:
    """Resolve `auto` for a family, precision and device.

    Args:
        asked: one of `ENGINES`.
        family: sigma of the component functions.
        dtype: precision of the layer.
        device: where it runs.
        long_run: whether the run lasts long enough to pay for compiling (a few seconds, once per machine).
        laplacian: whether gradient and Laplacian are wanted, not the value alone.

    Returns:
        the engine and why.

    Raises:
        ConfigError: when the engine is unknown, or asked for by name and not possible here.
    """
    if asked not in ENGINES:
        raise ConfigError(f"engine: expected one of {', '.join(ENGINES)}, got {asked!r}")
    if laplacian and asked != "reference" and FAMILIES[family].to_third is None:
        if asked != "auto":
            raise ConfigError(f"engine {asked}: it has no Laplacian of {family!r}; use --engine auto")
        return Engine("reference", f"the others have no Laplacian of {family!r}")
    if asked in ("reference", "fused"):
        return Engine(asked, "asked for")
    if asked == "triton" or (asked == "auto" and device.type == "cuda"):
        return _choose_triton(asked, family, dtype, device, laplacian)
    kernel, what = (native_jets, f"Laplacian of {family!r}") if laplacian else (native, repr(family))
    if not kernel.supports(family, dtype, device):
        obstacle = f"the compiled kernel has no {what} in {_name(dtype)} on {device.type}"
    elif native.compiler() is None:
        obstacle = "no C compiler on this machine"
    elif asked == "auto" and not long_run and not native.is_built(kernel.SOURCE):
        obstacle = "too short a run to pay for compiling"
    elif kernel.load() is None:
        obstacle = f"compiling or loading {kernel.SOURCE.name} failed on this machine"
    else:
        return Engine("compiled", "asked for" if asked == "compiled" else f"machine code for {device.type}")
    if asked == "compiled":
        raise ConfigError(f"engine compiled: {obstacle}; use --engine auto")
    return Engine("fused", obstacle)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _choose_triton(
    asked: str, family: str, dtype: torch.dtype, device: torch.device, laplacian: bool
) -> Engine:
    kernels = triton_jets if laplacian else triton
    obstacle = kernels.obstacle(family, dtype, device)
    if obstacle is None:
        return Engine("triton", "asked for" if asked == "triton" else f"Triton kernels on {device.type}")
    if asked == "triton":
        raise ConfigError(f"engine triton: {obstacle}; use --engine auto")
    return Engine("fused", obstacle)


def product_layer(
    x: Points,
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
) -> Points:
    """Evaluate the product layer with the chosen engine; `reference.product_layer` states the formula.

    Args:
        x: points, (n, d); a `Taylor` of inputs of the layer that are functions of m coordinates.
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
        phi, (n, R); for a `Taylor` with its gradient (m, n, R) and Laplacian (n, R).

    Raises:
        ValueError: when shapes do not fit, or precision or device differ: machine code reads memory as it is
            told to.
    """
    _check(x, weight, bias, amplitude, frequency, phase)
    constants: dict[str, Any] = {"family": family, "gamma": gamma, "offset": offset, "centre": centre}
    weights: tuple[Tensor, ...] = (weight, bias, amplitude, frequency, phase)
    if isinstance(x, Taylor):
        return _product_layer_jets(x, weights, constants, engine)
    tensors = (x, *weights)
    if engine == "reference":
        return reference.product_layer(*tensors, **constants)
    if engine == "triton" and triton.supports(family, x.dtype, x.device):
        return triton.product_layer(*tensors, **constants, backward=backward)
    compiled = engine == "compiled" and native.supports(family, x.dtype, x.device)
    product = fused.Product(family, gamma, offset, centre, native.load() if compiled else None, backward)
    return fused.product_layer(*tensors, product=product)


def _check(
    x: Tensor | Taylor, weight: Tensor, bias: Tensor, amplitude: Tensor, frequency: Tensor, phase: Tensor
) -> None:
    """Raise ValueError unless all tensors are of the shapes, the precision and the device of the layer."""
    found = {"W": weight, "b": bias, "a": amplitude, "w": frequency, "c": phase}
    if isinstance(x, Taylor):
        point, found = x.value, {"x": x.value, "grad x": x.gradient, "lap x": x.laplacian, **found}
    else:
        point, found = x, {"x": x, **found}
    if weight.dim() != 3 or amplitude.dim() != 3 or point.dim() != 2:
        raise ValueError(
            "product layer: expected x (n, d), W (D, R, d) and a (M, D, R), got "
            f"{tuple(point.shape)}, {tuple(weight.shape)} and {tuple(amplitude.shape)}"
        )
    n_factors, n_neurons, d = weight.shape
    line = (len(amplitude), n_factors, n_neurons)
    points = (len(point), d)
    shapes: dict[str, tuple[int, ...]] = {"W": (n_factors, n_neurons, d), "b": line[1:], "x": points}
    shapes |= {"a": line, "w": line, "c": line, "lap x": points}
    for name, t in found.items():
        expected = (len(t), *points) if name == "grad x" else shapes[name]
        if t.shape != expected or t.dtype != point.dtype or t.device != point.device:
            raise ValueError(
                f"product layer: expected {name} {expected} in {_name(point.dtype)} on {point.device}, got "
                f"{tuple(t.shape)} in {_name(t.dtype)} on {t.device}"
            )


def _product_layer_jets(
    x: Taylor, weights: tuple[Tensor, ...], constants: dict[str, Any], engine: str
) -> Taylor:
    """Evaluate the layer with gradient and Laplacian; the reference has them by the rules of `Taylor`."""
    family = constants["family"]
    if engine == "reference" or FAMILIES[family].to_third is None:
        return reference.product_layer(x, *weights, **constants)  # type: ignore[arg-type, return-value]
    modules: dict[str, fused_jets.Elementwise] = {"compiled": native_jets, "triton": triton_jets}
    code = modules.get(engine)
    known = code is not None and code.supports(family, x.value.dtype, x.value.device)
    product = fused_jets.JetProduct(**constants, code=code if known else None)
    parts = (x.value, x.gradient, x.laplacian)
    return Taylor(*fused_jets.product_layer_jets(parts, *weights, product=product))
