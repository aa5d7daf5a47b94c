"""Calling `native_jets.c`, the elementwise part of `fused_jets` in double precision on the CPU.

Arguments have the meaning and the shapes of `fused_jets.JetProduct`: z (n, D, R), along (m, n|1, D, R),
bend (n|1, D, R), components a, w, c (M, D, R) each; value (n, R), gradient (m, n, R) and Laplacian (n, R),
whose rows are contiguous, with any stride between the axes of the gradient. constants: gamma, offset, centre.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lrnn_cli.kernels import native
from lrnn_cli.kernels.families import FAMILIES

LANES = 32  # as in native_jets.c
BLOCK_BYTES = 2**20  # of one (block, D, R) tensor: one pass
# those of `native` with a bounded second derivative, and one more
FAMILY_NUMBERS = {name: k for name, k in native.FAMILY_NUMBERS.items() if FAMILIES[name].to_third is not None}
FAMILY_NUMBERS["bspline"] = len(native.FAMILY_NUMBERS)
SOURCE = Path(__file__).with_name("native_jets.c")


def load() -> ctypes.CDLL | None:
    """Compile if needed and load the kernel; None where it cannot be had."""
    return native.load(SOURCE)


def _library() -> ctypes.CDLL:
    library = load()
    assert library is not None  # `dispatch` asked before
    return library


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
    z: Tensor,
    along: Tensor,
    bend: Tensor,
    components: list[Tensor],
    out: list[Tensor],
    *,
    family: str,
    constants: Sequence[float],
) -> None:
    """Write `out`: value, gradient and Laplacian."""
    scratch = z.new_empty(len(along) * LANES)
    _library().lrnn_jets_forward(
        *_inputs(family, z, along, bend, components, out[1].stride(0), constants),
        *map(native.pointer, (*out, scratch)),
    )


def backward_(
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
    """Overwrite z by dz; add to `sums` the derivatives by along, bend, a, w and c, given those by `out`."""
    rows = z.shape[1] * (6 + 4 * len(components[0]) + len(along)) + len(along)
    scratch = z.new_empty(rows * LANES)
    _library().lrnn_jets_backward(
        *_inputs(family, z, along, bend, components, by[1].stride(0), constants),
        *map(native.pointer, (*by, *sums, scratch)),
    )


def probe(family: str, x: Tensor) -> Tensor:
    """Return sigma and its three derivatives at x (n,), (4, n), as the kernel computes them."""
    parts = []
    for part in x.split(LANES):
        lanes, y = x.new_zeros(LANES), x.new_empty(4, LANES)
        lanes[: len(part)] = part
        _library().lrnn_jets_probe(FAMILY_NUMBERS[family], *map(native.pointer, (lanes, y)))
        parts.append(y[:, : len(part)])
    return torch.cat(parts, 1)
