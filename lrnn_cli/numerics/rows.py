"""Rows: linear conditions on a field u, one per point, of the form α Δu + β·∇u + κ u = t.

Every condition of a linear second-order problem is such a row:

    -∇·(a ∇u) + c u = f      α = -a, β = -∇a, κ = c, t = f
    u = g (Dirichlet)        κ = 1, t = g
    ∂u/∂n = g (Neumann)      β = n, t = g

and so are the same conditions on N when u = g + m N with a mask m (`Rows.through`) and a known g
(`Rows.beyond`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from lrnn_cli.numerics.jets import Jet

T = TypeVar("T")
BLOCK = 128  # rows worked on at once where nothing is known of their columns
_ENTRIES = 2**16  # of an intermediate array: half a megabyte, so that a few of them stay in the cache
_ROWS = (16, 512)  # fewest and most per block


@dataclass(frozen=True)
class Rows:
    """Points (n, d), coefficients α (n,), β (n, d), κ (n,) and targets t (n,); all float64."""

    points: Tensor
    second: Tensor
    first: Tensor
    zeroth: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.points)

    def apply(self, jet: Jet) -> Tensor:
        """Return α Δu + β·∇u + κ u of a jet at the points: (n,)."""
        return self.second * jet.laplacian + (self.first.T * jet.gradient).sum(0) + self.zeroth * jet.value

    def scaled(self, factor: float | Tensor) -> Rows:
        """Multiply every row by a factor, a number or (n,)."""
        column = factor[:, None] if isinstance(factor, Tensor) else factor
        return Rows(
            self.points, self.second * factor, self.first * column, self.zeroth * factor, self.target * factor
        )

    def through(self, mask: Jet) -> Rows:
        """Return the rows on N that are these rows on u = m N.

        α m ΔN + (2 α ∇m + m β)·∇N + (α Δm + β·∇m + κ m) N = t.
        """
        slope = mask.gradient.T
        return Rows(
            self.points,
            self.second * mask.value,
            2.0 * self.second[:, None] * slope + mask.value[:, None] * self.first,
            self.second * mask.laplacian + (self.first * slope).sum(1) + self.zeroth * mask.value,
            self.target,
        )

    def beyond(self, known: Jet) -> Rows:
        """Return the rows on v that are these rows on u = g + v, for the jet of g at the points."""
        target = self.target - self.apply(known)
        return Rows(self.points, self.second, self.first, self.zeroth, target)

    def to(self, device: torch.device) -> Rows:
        """Return the rows on a device."""
        parts = (self.points, self.second, self.first, self.zeroth, self.target)
        return Rows(*(part.to(device) for part in parts))

    def take(self, span: slice) -> Rows:
        """Return some of the rows."""
        return Rows(
            self.points[span], self.second[span], self.first[span], self.zeroth[span], self.target[span]
        )


def join(parts: Sequence[Rows]) -> Rows:
    """Return all rows of several sets, one after the other."""
    return Rows(
        torch.cat([p.points for p in parts]),
        torch.cat([p.second for p in parts]),
        torch.cat([p.first for p in parts]),
        torch.cat([p.zeroth for p in parts]),
        torch.cat([p.target for p in parts]),
    )


def value_rows(points: Tensor, target: Tensor | None = None) -> Rows:
    """Return the rows u = t; t = 0 when left out."""
    n = len(points)
    zero = points.new_zeros(n)
    return Rows(
        points, zero, torch.zeros_like(points), torch.ones_like(zero), zero if target is None else target
    )


def block_rows(n_columns: int) -> int:
    """Return how many rows of n columns to work on at once, so that intermediate arrays stay in the cache."""
    return min(max(_ENTRIES // max(n_columns, 1), _ROWS[0]), _ROWS[1])


def map_blocks(function: Callable[[slice], T], n: int, size: int) -> list[T]:
    """Return function(span) for the spans of at most `size` that make up range(n), in their order.

    Spans go to as many threads as torch may use, one thread each: many small operations gain nothing from
    threads inside of them.
    """
    spans = [slice(start, start + size) for start in range(0, n, size)]
    threads = min(torch.get_num_threads(), len(spans))
    if threads < 2:
        return [function(span) for span in spans]
    before, grad = torch.get_num_threads(), torch.is_grad_enabled()

    def alike(span: slice) -> T:
        with torch.set_grad_enabled(grad):  # a thread of its own starts with gradients on
            return function(span)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(alike, spans))
    finally:
        torch.set_num_threads(before)  # part of what a thread sets holds for all


def in_blocks(columns: Callable[[Rows], Tensor], rows: Rows, n_columns: int) -> Tensor:
    """Return a function of rows, (n, k), computed in blocks of rows."""
    result = rows.points.new_empty(len(rows), n_columns)

    def fill(span: slice) -> None:
        result[span] = columns(rows.take(span))

    map_blocks(fill, len(rows), block_rows(n_columns))
    return result
