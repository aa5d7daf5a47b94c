"""Calling `native_jets.c`, the elementwise part of `fused_jets` in double precision on the CPU."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lrnn_cli.kernels import native

LANES = 32  # as in native_jets.c
FAMILY_NUMBERS = {"sin": 0, "spder": 1, "gauss": 3, "tanh": 4, "relu": 5, "bspline": 6}
SOURCE = Path(__file__).with_name("native_jets.c")


def load() -> ctypes.CDLL | None:
    """Compile if needed and load the kernel; None where it cannot be had."""
    return native.load(SOURCE)


def supports(family: str, dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether the compiled kernel has this family, precision and device."""
    return family in FAMILY_NUMBERS and dtype == torch.float64 and device.type == "cpu"


def _inputs(
    family: str, z: Tensor, along: Tensor, bend: Tensor, components: list[Tensor], axis: int,
    constants: Sequence[float],
) -> list[object]:  # fmt: skip
    sizes = (*z.shape, len(components[0]), len(along), along.shape[1], len(bend), axis)
    return [
        FAMILY_NUMBERS[family],
        (ctypes.c_long * len(sizes))(*sizes),
        (ctypes.c_double * len(constants))(*constants),
        *map(native.pointer, (z, along, bend, *components)),
    ]


def forward(
    library: ctypes.CDLL,
    z: Tensor,
    along: Tensor,
    bend: Tensor,
    components: list[Tensor],
    out: list[Tensor],
    *,
    family: str,
    constants: Sequence[float],
) -> None:
    """Write value, gradient and Laplacian, with the shapes of `fused_jets.JetProduct.forward`.

    Args:
        library: from `load`.
        z: (n, D, R).
        along: grad z (m, n|1, D, R).
        bend: Laplacian of z (n|1, D, R).
        components: a, w, c, (M, D, R) each.
        out: (n, R), (m, n, R) and (n, R); rows contiguous, any stride between the axes of the gradient.
        family: name of sigma.
        constants: gamma, offset, centre.
    """
    scratch = z.new_empty(len(along) * LANES)
    library.lrnn_jets_forward(
        *_inputs(family, z, along, bend, components, out[1].stride(0), constants),
        *map(native.pointer, (*out, scratch)),
    )


def backward_(
    library: ctypes.CDLL,
    z: Tensor,
    along: Tensor,
    bend: Tensor,
    components: list[Tensor],
    by: list[Tensor],
    sums: list[Tensor],
    *,
    family: str,
    constants: Sequence[float],
) -> None:
    """Overwrite z by dz and add to sums, with the shapes of `fused_jets.JetProduct.backward_`.

    Args:
        library: from `load`.
        z: (n, D, R).
        along: grad z (m, n|1, D, R).
        bend: Laplacian of z (n|1, D, R).
        components: a, w, c, (M, D, R) each.
        by: derivatives by value, gradient and Laplacian, as `out` of `forward`.
        sums: of the shapes of along, bend, a, w and c.
        family: name of sigma.
        constants: gamma, offset, centre.
    """
    rows = z.shape[1] * (6 + 4 * len(components[0]) + len(along)) + len(along)
    scratch = z.new_empty(rows * LANES)
    library.lrnn_jets_backward(
        *_inputs(family, z, along, bend, components, by[1].stride(0), constants),
        *map(native.pointer, (*by, *sums, scratch)),
    )


def probe(library: ctypes.CDLL, family: str, x: Tensor) -> Tensor:
    """Return sigma and its three derivatives at x (n,), (4, n), as the kernel computes them."""
    parts = []
    for part in x.split(LANES):
        lanes, y = x.new_zeros(LANES), x.new_empty(4, LANES)
        lanes[: len(part)] = part
        library.lrnn_jets_probe(FAMILY_NUMBERS[family], *map(native.pointer, (lanes, y)))
        parts.append(y[:, : len(part)])
    return torch.cat(parts, 1)
