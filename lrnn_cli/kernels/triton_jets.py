"""Calling `triton_jets_code`, the elementwise part of `fused_jets` in double precision on NVIDIA GPUs.

Arguments have the meaning and the shapes of `fused_jets.JetProduct`: z (n, D, R), along (m, n|1, D, R),
bend (n|1, D, R), components a, w, c (M, D, R) each; value (n, R), gradient (m, n, R) and Laplacian (n, R),
whose rows are contiguous, with any stride between the axes of the gradient. constants: gamma, offset, centre.
Without a GPU the kernels run in Triton's interpreter, for tests (`triton.py`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.kernels import triton
from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.kernels.fused_jets import JetProduct

TILE = 512  # numbers of a tile of the gradient, (coordinates, points, neurons)
NEURONS = 32  # of a tile: neighbouring threads read neighbouring numbers
MOST_POINTS, FEWEST_WARPS = 8, 4  # with a warp per point a thread has one neuron: registers suffice
BLOCK_BYTES = 2**27  # of one (block, D, R) tensor; backward some m + 5 of them are in use at once
PROBE_ERROR = 1e-11  # of the trial run, relative to the largest number of each tensor


def supports(family: str, dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether the kernels have this family, precision and device."""
    known = FAMILIES[family].to_third is not None
    return known and dtype == torch.float64 and triton.is_here(device)


def obstacle(family: str, dtype: torch.dtype, device: torch.device) -> str | None:
    """Return why the kernels cannot be used here, in words, None if they can; the first call tries them."""
    if (reason := triton.unusable(device)) is not None:
        return reason
    if not supports(family, dtype, device):
        precision = str(dtype).removeprefix("torch.")
        return f"the Triton kernels have no Laplacian of {family!r} in {precision} on {device.type}"
    return _failure(device)


@lru_cache
def _failure(device: torch.device) -> str | None:
    return triton.failure_of(_trials(device), PROBE_ERROR)


def _trials(device: torch.device) -> triton.Trials:
    """Yield what the kernels compute beside what tensor code does: rows that differ, and one row for all."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64).to(device)  # noqa: E731
    exact = JetProduct("spder", 0.7, 1.0, 0.1, code=None)
    mine: dict[str, Any] = {"family": exact.family, "constants": exact.constants}
    writers: list[Callable[..., None]] = [partial(forward, **mine), exact.forward]
    adders: list[Callable[..., None]] = [partial(backward_, **mine), exact.backward_]
    for name, rows in (("Laplacians", 5), ("Laplacians of coordinates", 1)):
        z, along, bend = draw(5, 2, 3), draw(2, rows, 2, 3), draw(rows, 2, 3)
        components, by = [draw(2, 2, 3) for _ in range(3)], [draw(5, 3), draw(2, 5, 3), draw(5, 3)]
        results = []
        for write, add in zip(writers, adders, strict=True):
            out, dz = [torch.empty_like(t) for t in by], z.clone()
            sums = [torch.zeros_like(t) for t in (along, bend, *components)]
            write(z, along, bend, components, out)
            add(dz, along, bend, components, by, sums)
            results.append([*out, dz, *sums])
        yield name, list(zip(*results, strict=True))


def _launch(
    kernel: str, z: Tensor, along: Tensor, bend: Tensor, components: list[Tensor], rest: list[Tensor],
    axis: int, family: str, constants: Sequence[float], **meta: Any,
) -> None:  # fmt: skip
    (n, n_factors, n_neurons), m = z.shape, len(along)
    padded, points = _tile(m)
    size = n_factors * n_neurons
    sizes = (n, m, n_factors, n_neurons, len(components[0]))
    strides = (along.shape[1] * size, size * (along.shape[1] > 1), size * (len(bend) > 1), axis)
    gamma, offset, centre = constants
    with triton.on(z.device):
        triton.kernel_named(kernel, "triton_jets_code")[(-(-n // points), -(-n_neurons // NEURONS))](
            z, along, bend, *components, *rest, *sizes, *strides,
            FAMILY=family, GAMMA=gamma, OFFSET=offset, CENTRE=centre,
            MP=padded, BN=points, BR=NEURONS, num_warps=max(FEWEST_WARPS, points), **meta,
        )  # fmt: skip


def _tile(m: int) -> tuple[int, int]:
    """Return the coordinates of a tile, a power of two, and its points."""
    padded = 1 << max(m - 1, 0).bit_length()
    return padded, min(max(1, TILE // (NEURONS * padded)), MOST_POINTS)


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
    if len(z):
        _launch("forward_kernel", z, along, bend, components, out, out[1].stride(0), family, constants)


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
    if not len(z):
        return
    (n, *size), m, components_ = z.shape, len(along), len(components[0])
    one_along, one_bend = along.shape[1] == 1, len(bend) == 1
    before, before_along, before_bend = z.new_empty(n, *size), z.new_empty(m, n, *size), z.new_empty(n, *size)
    lines = [components_] * 3 + [m] * one_along + [1] * one_bend
    parts = z.new_empty(-(-n // _tile(m)[1]), sum(lines), *size)
    _launch(
        "backward_kernel", z, along, bend, components, [*by, before, before_along, before_bend, parts],
        by[1].stride(0), family, constants, ONE_ALONG=one_along, ONE_BEND=one_bend,
    )  # fmt: skip
    da, dw, dc, *single = parts.sum(0).split(lines)
    dalong = single.pop(0)[:, None] if one_along else before_along
    dbend = single.pop(0) if one_bend else before_bend
    for total, part in zip(sums, (dalong, dbend, da, dw, dc), strict=True):
        total += part


def probe(family: str, x: Tensor) -> Tensor:
    """Return sigma and its three derivatives at x (n,), (4, n), as the kernels compute them."""
    out = x.new_empty(4, len(x))
    with triton.on(x.device):
        kernel = triton.kernel_named("probe_kernel", "triton_jets_code")
        kernel[(-(-len(x) // TILE),)](x, out, len(x), FAMILY=family, B=TILE)
    return out
